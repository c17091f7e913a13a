"""What payments' two processes are told by their environment."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from common.settings import BrokerSettings, DatabaseSettings, ServiceSettings, TokenSettings
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from payments.domain.accounts import issue_clabe
from payments.domain.refusals import InvalidClabe
from payments.domain.windows import Windows
from payments.service.pace import Pace


class WorkSettings(BaseModel):
    """How the workers of either process work."""

    rail_url: str
    rail_timeout_seconds: float = Field(default=4.0, gt=0, le=30)
    psp_name: str = Field(default="chaos", pattern=r"^[a-z0-9-]{1,32}$")
    """The card provider, as the ledger's accounts and the receipts call it."""
    psp_url: str
    psp_api_key: SecretStr
    psp_timeout_seconds: float = Field(default=4.0, gt=0, le=30)
    lease_seconds: float = Field(default=15.0, gt=0)
    """How long one worker keeps what it took. A step that takes longer loses it and is done again, which
    is harmless but wasted; what a killed worker held lies idle until then."""
    retry_first_seconds: float = Field(default=0.25, gt=0)
    retry_longest_seconds: float = Field(default=30.0, gt=0)
    workers: int = Field(default=8, ge=1, le=64)
    idle_seconds: float = Field(default=0.2, gt=0, le=10)
    """Between two looks for work when there was none."""
    pool_size: int = Field(default=10, ge=2)

    @property
    def pace(self) -> Pace:
        return Pace(self.lease_seconds, self.retry_first_seconds, self.retry_longest_seconds)


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, TokenSettings, WorkSettings):
    """The serving process: API, workers and the ear for the ledger's events."""

    service: str = "payments"
    ledger_url: str
    ledger_receipts_url: str
    ledger_api_key: SecretStr
    ledger_signing_key: SecretStr
    ledger_timeout_seconds: float = Field(default=4.0, gt=0, le=30)
    clabe_prefix: str = Field(default="6461801570", pattern=r"^[0-9]{10}$")
    """Bank, place and client number of our participant's virtual CLABEs."""
    deposit_window_minutes: float = Field(default=120.0, gt=0)
    """How long the rail may not know of a claimed transfer. A CEP can take half an hour."""
    send_window_seconds: float = Field(default=20.0, gt=0)
    """How long after a send the rail may not know of our order. Longer than the rail's time-out, or an
    order still on its way would count as lost."""

    psp_window_seconds: float = Field(default=20.0, gt=0)
    """The same for the card provider."""
    psp_webhook_secrets_file: Path
    """The live secrets of the provider's webhooks, one a line: two while one is being replaced. Read again when it
    changes."""
    order_signing_key_file: Path
    """The RSA key that our orders are signed with, in PEM."""
    statement_grace_seconds: float = Field(default=60.0, ge=0)
    """How long a player may take to claim a transfer before it is noticed without."""
    statement_interval_seconds: float = Field(default=5.0, gt=0)
    payouts_interval_seconds: float = Field(default=5.0, gt=0)
    payouts_patience_seconds: float = Field(default=600.0, ge=0)
    """How long a settlement file waits for operations of ours that are still under way."""
    payouts_overdue_seconds: float = Field(default=259_200.0, gt=0)
    """How long after it was asked for a capture or refund may be in no settlement file: three days."""
    disputes_interval_seconds: float = Field(default=60.0, gt=0)
    disputes_patience_seconds: float = Field(default=120.0, ge=0)
    """How long the provider's webhook about a dispute may take before its list is believed to know more."""
    ted_windows: str = ""
    """When the slow rail takes orders, such as `09:00-09:30,15:00-15:30`; empty: always."""

    @field_validator("ted_windows")
    @classmethod
    def _are_windows(cls, text: str) -> str:
        Windows.parse(text)
        return text

    @field_validator("clabe_prefix")
    @classmethod
    def _issues_clabes(cls, prefix: str) -> str:
        try:
            issue_clabe(prefix, 0)
        except InvalidClabe as error:
            raise ValueError("not the beginning of a known bank's CLABEs") from error
        return prefix

    @model_validator(mode="after")
    def _the_window_outlasts_a_send(self) -> Self:
        if self.send_window_seconds <= self.rail_timeout_seconds:
            raise ValueError("SEND_WINDOW_SECONDS must be longer than RAIL_TIMEOUT_SECONDS")
        if self.psp_window_seconds <= self.psp_timeout_seconds:
            raise ValueError("PSP_WINDOW_SECONDS must be longer than PSP_TIMEOUT_SECONDS")
        return self

    @property
    def deposit_window(self) -> timedelta:
        return timedelta(minutes=self.deposit_window_minutes)

    @property
    def psp_window(self) -> timedelta:
        return timedelta(seconds=self.psp_window_seconds)

    @property
    def statement_grace(self) -> timedelta:
        return timedelta(seconds=self.statement_grace_seconds)

    @property
    def disputes_patience(self) -> timedelta:
        return timedelta(seconds=self.disputes_patience_seconds)

    @property
    def payouts_overdue(self) -> timedelta:
        return timedelta(seconds=self.payouts_overdue_seconds)

    @property
    def payouts_patience(self) -> timedelta:
        return timedelta(seconds=self.payouts_patience_seconds)

    @property
    def send_window(self) -> timedelta:
        return timedelta(seconds=self.send_window_seconds)


class AttestorSettings(ServiceSettings, DatabaseSettings, WorkSettings):
    """The attestor's process. It is told of no ledger and no broker."""

    service: str = "attestor"
    central_bank_url: str
    """Where receipts (CEP) come from: another server than the participant's."""
    signing_key_file: Path
    """The key's id and its Ed25519 seed, 32 bytes in base64, on one line. Read again when it changes."""
