"""What the ledger's processes are told by their environment."""

from __future__ import annotations

from pathlib import Path

from common.settings import BrokerSettings, CacheSettings, DatabaseSettings, ServiceSettings, TokenSettings
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class LedgerSettings(ServiceSettings, DatabaseSettings, BrokerSettings, TokenSettings, CacheSettings):
    """The posting process: both doors and the engines.

    max_batch    commands in one transaction
    max_queued   commands that may wait for one; beyond it they are answered 429
    signing_roots   a JSON file {name: base64 of a root secret}, for keys whose requests must be signed
    replica_dsn     a streaming replica to read reports from, as ledger_reader; without it the primary serves them
    replica_max_lag_seconds   how old the replica may be before reports are not read from it any more
    """

    service: str = "ledger"
    max_batch: int = Field(default=256, ge=1, le=1_000)
    max_queued: int = Field(default=4_000, ge=1)
    signing_roots: Path | None = None
    replica_dsn: SecretStr | None = None
    replica_max_lag_seconds: float = Field(default=5.0, gt=0)


class ReceiptsSettings(ServiceSettings, DatabaseSettings):
    """The receipts process: the only one that can store a receipt.

    attestor_public_keys   a JSON file {key id: base64 of a raw Ed25519 public key}
    """

    service: str = "ledger-receipts"
    attestor_public_keys: Path


class KeysSettings(BaseSettings, DatabaseSettings):
    """The key-management command, which runs under its own role. `signing_roots` as the posting process has it."""

    signing_roots: Path | None = None
