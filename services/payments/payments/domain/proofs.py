"""Proofs: what the attestor is asked to attest besides a player's claim of a transfer.

ASKED > ATTESTED > BOOKED, or CONFLICTED where the sources do not say what was asked, until people have it asked for
again. The id of a proof is the id of its receipt: one arrival of money has one, however often it is asked for.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID, uuid5

from common.money import Money

ReceiptId = NewType("ReceiptId", UUID)

PROOFS: Final = UUID("5b7c2a52-1f0e-5d15-9b0e-6a5f1f6c8a11")
"""The namespace of the receipt ids of proofs."""

SPEI: Final = "spei"


class Purpose(StrEnum):
    """The kind of entry that a proof pays for."""

    SUSPENSE = "deposit.suspense"
    SUSPENSE_ASSIGN = "suspense.assign"
    SUSPENSE_RETURN = "suspense.return"
    WITHDRAWAL_RETURNED = "withdrawal.returned"
    CARD_CAPTURE = "card.capture"
    CARD_SETTLE = "card.settle"
    REFUND_RETURNED = "refund.returned"


class ProofState(StrEnum):
    """Where a proof is."""

    ASKED = "ASKED"
    ATTESTED = "ATTESTED"
    BOOKED = "BOOKED"
    CONFLICTED = "CONFLICTED"
    GIVEN_UP = "GIVEN_UP"


@dataclass(frozen=True, slots=True)
class Proof:
    """A claim about money, to be attested. `subject_id` is what it is about: an operation, a file, an arrival, a
    withdrawal. `fee` is the part of a payout's gross amount that the provider kept."""

    receipt_id: ReceiptId
    purpose: Purpose
    rail: str
    tracking_key: str
    subject_id: UUID
    account: str
    amount: Money
    reference: str
    asked_at: datetime
    fee: Money
    origin: ReceiptId | None = None
    state: ProofState = ProofState.ASKED
    reason: str | None = None
    entry_id: UUID | None = None
    tries: int = 0
    leases: int = 0


def receipt_id(purpose: Purpose, rail: str, tracking_key: str) -> ReceiptId:
    """The id of the one receipt that there can be for this arrival and purpose."""
    return ReceiptId(uuid5(PROOFS, f"{purpose}:{rail}:{tracking_key}"))


def ask(
    purpose: Purpose,
    *,
    rail: str,
    tracking_key: str,
    subject_id: UUID,
    account: str,
    amount: Money,
    reference: str,
    now: datetime,
    fee: Money | None = None,
    origin: ReceiptId | None = None,
) -> Proof:
    """A proof to be asked for."""
    return Proof(
        receipt_id=receipt_id(purpose, rail, tracking_key),
        purpose=purpose,
        rail=rail,
        tracking_key=tracking_key,
        subject_id=subject_id,
        account=account,
        amount=amount,
        reference=reference,
        asked_at=now,
        fee=fee or Money.zero(amount.currency),
        origin=origin,
    )
