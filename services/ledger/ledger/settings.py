"""What the ledger's processes are told by their environment."""

from __future__ import annotations

from pathlib import Path

from common.settings import BrokerSettings, CacheSettings, DatabaseSettings, ServiceSettings, TokenSettings
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class LedgerSettings(ServiceSettings, DatabaseSettings, BrokerSettings, TokenSettings, CacheSettings):
    """The posting process: both doors and the engines.

    max_body_bytes   enough for a batch of a thousand entries
    max_batch    commands in one transaction
    max_queued   commands that may wait for one; beyond it they are answered 429
    max_wait_seconds   how long they may wait before others are turned away at the door, unread, with 429
    signing_roots   a JSON file {name: base64 of a root secret}, for keys whose requests must be signed
    balance_cache_url   a Redis of its own for balances that are shown; without it they are read from the books
    replica_dsn     a streaming replica to read reports from, as ledger_reader; without it the primary serves them
    replica_max_lag_seconds   how old the replica may be before reports are not read from it any more
    """

    service: str = "ledger"
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    max_batch: int = Field(default=512, ge=1, le=1_000)
    max_queued: int = Field(default=4_000, ge=1)
    max_wait_seconds: float = Field(default=1.0, gt=0)
    signing_roots: Path | None = None
    replica_dsn: SecretStr | None = None
    replica_max_lag_seconds: float = Field(default=5.0, gt=0)
    balance_cache_url: SecretStr | None = None


class ReceiptsSettings(ServiceSettings, DatabaseSettings):
    """The receipts process: the only one that can store a receipt.

    attestor_public_keys   a JSON file {key id: base64 of a raw Ed25519 public key}
    """

    service: str = "ledger-receipts"
    attestor_public_keys: Path


class KeysSettings(BaseSettings, DatabaseSettings):
    """The key-management command, which runs under its own role. `signing_roots` as the posting process has it."""

    signing_roots: Path | None = None


class SealerSettings(ServiceSettings, DatabaseSettings):
    """The sealing process, under its own role.

    seal_keys      a JSON file {id: base64 of an Ed25519 seed}; the last one is for a ledger without a key
    seal_seconds   between two rounds: how long an entry may go unsealed
    max_run        entries under one seal
    """

    service: str = "ledger-sealer"
    seal_keys: Path
    seal_seconds: float = Field(default=10.0, gt=0)
    max_run: int = Field(default=1_000, ge=1, le=10_000)


class SealSettings(BaseSettings, DatabaseSettings):
    """Commands about seals: `seal_keys` as the sealing process has it, for those that sign."""

    seal_keys: Path | None = None
    max_run: int = Field(default=1_000, ge=1, le=10_000)


class OperatorSettings(BaseSettings, DatabaseSettings):
    """A command for operators: the database, as the role the command asks for."""
