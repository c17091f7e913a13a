"""What identity is told by its environment."""

from datetime import timedelta
from pathlib import Path

from common.settings import CacheSettings, DatabaseSettings, ServiceSettings
from pydantic import Field


class Settings(ServiceSettings, DatabaseSettings, CacheSettings):
    """Names are the fields in capitals; the floors of the hash cost are OWASP's and cannot be undercut."""

    service: str = "identity"
    signing_key_file: Path
    """An Ed25519 private key in PEM; `python -m identity keys create` makes one."""
    signing_key_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    token_seconds: int = Field(default=60, ge=5, le=60)
    session_idle_minutes: int = Field(default=60, ge=1)
    """A session unused for this long ends."""
    session_hours: int = Field(default=24, ge=1)
    """A session ends after this long whatever happens."""
    hash_memory_kib: int = Field(default=19_456, ge=19_456)
    hash_passes: int = Field(default=2, ge=2)
    hash_workers: int = Field(default=2, ge=1, le=16)
    hash_queue: int = Field(default=64, ge=0)
    """How many may wait for a hash worker before the next one is answered 503."""
    pool_size: int = Field(default=8, ge=1)

    @property
    def session_idle(self) -> timedelta:
        return timedelta(minutes=self.session_idle_minutes)

    @property
    def session_length(self) -> timedelta:
        return timedelta(hours=self.session_hours)
