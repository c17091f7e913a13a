"""What the relay is told."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from common.settings import DatabaseSettings, ServiceSettings
from pydantic import Field, SecretStr, model_validator


class TransportName(StrEnum):
    """The brokers that rows can be carried to."""

    AMQP = "amqp"
    NATS = "nats"


class Settings(ServiceSettings, DatabaseSettings):
    """One relay serves one database."""

    port: int = Field(default=8080, ge=1, le=65535)
    """Health and metrics only; `--once` opens no port."""
    transport: TransportName = TransportName.AMQP
    amqp_url: SecretStr | None = None
    nats_url: SecretStr | None = None
    lanes: int = Field(default=2, ge=1, le=16)
    """Batches under way at once. More than the shards cannot help."""

    @model_validator(mode="after")
    def _the_chosen_broker_has_an_address(self) -> Self:
        if self._url is None:
            raise ValueError(f"{self.transport}_url is needed for this transport")
        return self

    @property
    def _url(self) -> SecretStr | None:
        return self.amqp_url if self.transport is TransportName.AMQP else self.nats_url

    @property
    def broker_url(self) -> str:
        """Of the chosen broker, with its password."""
        assert self._url is not None  # noqa: S101 - validated
        return self._url.get_secret_value()
