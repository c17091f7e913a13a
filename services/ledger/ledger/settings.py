"""What the ledger's processes are told by their environment."""

from __future__ import annotations

from pathlib import Path

from common.settings import ServiceSettings


class LedgerSettings(ServiceSettings):
    """The posting process: both doors and the engines.

    max_batch    commands in one transaction
    max_queued   commands that may wait for one; beyond it they are answered 429
    """

    service: str = "ledger"
    max_batch: int = 256
    max_queued: int = 4_000


class ReceiptsSettings(ServiceSettings):
    """The receipts process: the only one that can store a receipt.

    attestor_public_keys   a JSON file {key id: base64 of a raw Ed25519 public key}
    """

    service: str = "ledger-receipts"
    attestor_public_keys: Path


class KeysSettings(ServiceSettings):
    """The key-management command."""

    service: str = "ledger-keys"
