"""Attested receipts, written only by the receipts process under its own role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from common.pg import Connection, translate

from ledger.domain import refusals


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A verified attestation, as it is stored. `attestation` is the exact signed text."""

    id: UUID
    ledger: int
    rail: str
    tracking_key: str
    document_sha256: bytes
    purpose: str
    account: str
    amount: Decimal
    currency: str
    occurred_at: datetime
    key_id: str
    attestation: bytes
    signature: bytes
    origin: UUID | None = None
    """The receipt of the same transfer that this one decides on, for money in suspense."""


@contextmanager
def named_conflicts() -> Iterator[None]:
    """The receipt table's uniques as domain errors."""
    with translate(
        {
            "receipt_tracking_key_is_unique": lambda: refusals.DuplicateTrackingKey(
                "this transfer was attested before", field="tracking_key"
            ),
            "receipt_document_is_unique": lambda: refusals.DuplicateDocument(
                "this document was attested before", field="document_sha256"
            ),
            "receipt_origin_is_decided_once": lambda: refusals.DuplicateTrackingKey(
                "this money in suspense was decided on before", field="origin"
            ),
            "receipt_origin_is_the_same_transfer": lambda: refusals.OriginUnknown(
                "no receipt of this transfer that this one could follow", field="origin"
            ),
            "receipt_origin_as_purpose_says": lambda: refusals.ReceiptMismatch(
                "only a deposit and money in suspense are attested again", field="origin"
            ),
        }
    ):
        yield


async def add_receipt(connection: Connection, receipt: ReceiptRow) -> bool:
    """Store a receipt; False when its id is there already.

    Raises:
        DuplicateTrackingKey, DuplicateDocument: another receipt attests the same transfer.
    """
    with named_conflicts():
        done = await connection.execute(
            """
            INSERT INTO receipt (id, ledger_id, rail, tracking_key, document_sha256, purpose, account, amount, currency,
                                 occurred_at, key_id, attestation, signature, origin)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            ON CONFLICT (id) DO NOTHING
            """,
            receipt.id,
            receipt.ledger,
            receipt.rail,
            receipt.tracking_key,
            receipt.document_sha256,
            receipt.purpose,
            receipt.account,
            receipt.amount,
            receipt.currency,
            receipt.occurred_at,
            receipt.key_id,
            receipt.attestation,
            receipt.signature,
            receipt.origin,
        )
    return done == "INSERT 0 1"


async def stored_attestation(connection: Connection, id: UUID) -> bytes | None:
    """The signed text of a stored receipt."""
    text: bytes | None = await connection.fetchval("SELECT attestation FROM receipt WHERE id = $1", id)
    return text
