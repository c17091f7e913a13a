"""What identity is told by its environment."""

from datetime import timedelta
from pathlib import Path

from common.settings import CacheSettings, DatabaseSettings, ServiceSettings
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings


class HashSettings(BaseModel):
    """What a password hash costs and how many are made at once. The floors are OWASP's: no setting undercuts them."""

    hash_memory_kib: int = Field(default=19_456, ge=19_456)
    hash_passes: int = Field(default=2, ge=2)
    hash_workers: int = Field(default=2, ge=1, le=16)
    hash_queue: int = Field(default=64, ge=0)
    """How many may wait for a worker before the next one is answered 503."""


class Settings(ServiceSettings, DatabaseSettings, CacheSettings, HashSettings):
    """The serving process. Names are the fields in capitals."""

    service: str = "identity"
    signing_key_file: Path
    """An Ed25519 private key in PEM; `python -m identity keys create` makes one."""
    signing_key_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    token_seconds: int = Field(default=60, ge=5, le=60)
    session_idle_minutes: int = Field(default=60, ge=1)
    """A session unused for this long ends."""
    session_hours: int = Field(default=24, ge=1)
    """A session ends after this long whatever happens."""
    pool_size: int = Field(default=8, ge=1)

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(seconds=self.token_seconds)

    @property
    def session_idle(self) -> timedelta:
        return timedelta(minutes=self.session_idle_minutes)

    @property
    def session_length(self) -> timedelta:
        return timedelta(hours=self.session_hours)


class StaffSettings(BaseSettings, DatabaseSettings, HashSettings):
    """The `staff` command, which needs the database alone."""
