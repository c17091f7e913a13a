"""Settings: from the environment, secrets from files.

Names have no prefix: the field `database_dsn` is `DATABASE_DSN`. Any field may come from a file instead,
named by `DATABASE_DSN_FILE`; giving both is an error. A service's settings derive from `ServiceSettings`
and from the parts it needs.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class FromFiles(PydanticBaseSettingsSource):
    """Reads the field `x` from the file that `X_FILE` names, without surrounding white space."""

    def get_field_value(
        self,
        field: FieldInfo,  # noqa: ARG002 - the base class's signature
        field_name: str,
    ) -> tuple[str | None, str, bool]:
        """The file's text. Raises `ValueError` if the value is given directly too."""
        variable = field_name.upper()
        path = os.environ.get(f"{variable}_FILE")
        if path is None or f"{field_name}_file" in self.settings_cls.model_fields:
            return None, field_name, False
        if variable in os.environ:
            raise ValueError(f"{variable} and {variable}_FILE are both set")
        return Path(path).read_text(encoding="utf-8").strip(), field_name, False

    def __call__(self) -> dict[str, str]:
        """Every field that comes from a file."""
        found: dict[str, str] = {}
        for name, field in self.settings_cls.model_fields.items():
            value, _, _ = self.get_field_value(field, name)
            if value is not None:
                found[name] = value
        return found


class FromEnvironment(BaseSettings):
    """Anything that is told by environment and files: a process, or an operator's command."""

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not one of our sources
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not one of our sources
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments (in tests), then the environment, then files."""
        return init_settings, env_settings, FromFiles(settings_cls)


class ServiceSettings(FromEnvironment):
    """What every process is told."""

    service: str
    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    otel_exporter_otlp_endpoint: str | None = None
    trace_ratio: float = Field(default=0.01, ge=0, le=1)
    """The share of traces that starts here and is kept; a caller's decision is followed."""
    max_body_bytes: int = Field(default=256 * 1024, ge=1024)
    body_timeout_seconds: float = Field(default=10.0, gt=0)
    """How long a request's body may take to arrive."""
    drain_seconds: float = Field(default=1.0, ge=0)
    """After SIGTERM: how long to serve on while readiness already fails, so that callers turn away."""
    shutdown_seconds: float = Field(default=10.0, gt=0)
    """After draining: how long requests in flight may take to finish."""


class DatabaseSettings(BaseModel):
    """For a process with a database."""

    database_dsn: SecretStr

    @field_validator("database_dsn")
    @classmethod
    def _is_a_database(cls, dsn: SecretStr) -> SecretStr:
        """Without a host the driver would look for a server of its own liking."""
        example = "postgresql://login:password@host:5432/name"
        _expect_address(dsn.get_secret_value(), example, "postgresql", "postgres")
        return dsn


class BrokerSettings(BaseModel):
    """For a process that talks AMQP."""

    amqp_url: SecretStr

    @field_validator("amqp_url")
    @classmethod
    def _is_an_address(cls, url: SecretStr) -> SecretStr:
        _expect_address(url.get_secret_value(), "amqp://login:password@host:5672/vhost", "amqp", "amqps")
        return url


class CacheSettings(BaseModel):
    """For a process that uses Redis."""

    redis_url: SecretStr

    @field_validator("redis_url")
    @classmethod
    def _is_a_cache(cls, url: SecretStr) -> SecretStr:
        _expect_address(url.get_secret_value(), "redis://:password@host:6379/0", "redis", "rediss")
        return url


class TokenSettings(BaseModel):
    """For a process that accepts identity's tokens."""

    identity_url: str

    @field_validator("identity_url")
    @classmethod
    def _is_a_service(cls, url: str) -> str:
        _expect_address(url, "http://identity:8080", "http", "https")
        return url


def _expect_address(text: str, example: str, *schemes: str) -> None:
    """Raises `ValueError`, which does not tell the text: it may hold a password."""
    parts = urlsplit(text)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"must be an address such as {example}")
