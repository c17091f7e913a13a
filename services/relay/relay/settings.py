"""What the relay is told."""

from __future__ import annotations

from common.settings import BrokerSettings, DatabaseSettings, ServiceSettings
from pydantic import Field


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings):
    """One relay serves one database."""

    port: int = Field(default=8080, ge=1, le=65535)
    """Health and metrics only; `--once` opens no port."""
    lanes: int = Field(default=4, ge=1, le=16)
    """Batches under way at once. More than the shards cannot help."""
