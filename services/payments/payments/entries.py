"""What payments asks the ledger to book: the legs, keys and references of its kinds of entry."""

from typing import Final
from uuid import UUID

from common.money import Money
from contracts.ledger import EntryRequest, Posting, PostRequested, Side

from payments.domain.accounts import BANK, available, withdrawing
from payments.domain.deposits import Deposit
from payments.domain.withdrawals import Withdrawal

DONE: Final = "done"
RELEASE: Final = "release"


def deposit_key(receipt_id: UUID) -> str:
    """The receipt is the business fact: it is booked once, whoever asks and how often."""
    return f"deposit:{receipt_id}"


def withdrawal_key(withdrawal_id: UUID, step: str) -> str:
    """Each step of a withdrawal is booked once."""
    return f"withdrawal:{withdrawal_id}:{step}"


def deposit_entry(deposit: Deposit) -> EntryRequest:
    """The bank has it, the player may bet it; by the receipt alone."""
    return EntryRequest(
        kind="deposit",
        postings=(
            _leg(BANK, Side.DEBIT, deposit.amount),
            _leg(available(deposit.player), Side.CREDIT, deposit.amount),
        ),
        reference=f"deposits/{deposit.id}",
        receipt=deposit.receipt_id,
    )


def reserve_entry(withdrawal: Withdrawal) -> EntryRequest:
    """Set the amount aside under a hold that has the withdrawal's id."""
    return EntryRequest(
        kind="withdrawal.reserve",
        postings=(
            _leg(available(withdrawal.player), Side.DEBIT, withdrawal.amount),
            _leg(withdrawing(withdrawal.player), Side.CREDIT, withdrawal.amount, withdrawal.id),
        ),
        reference=withdrawal.reference,
    )


def done_command(withdrawal: Withdrawal) -> PostRequested:
    """The rail has carried the amount out of our bank."""
    return PostRequested(
        idempotency_key=withdrawal_key(withdrawal.id, DONE),
        kind="withdrawal.done",
        postings=(
            _leg(withdrawing(withdrawal.player), Side.DEBIT, withdrawal.amount, withdrawal.id),
            _leg(BANK, Side.CREDIT, withdrawal.amount),
        ),
        reference=withdrawal.reference,
    )


def release_command(withdrawal: Withdrawal) -> PostRequested:
    """The rail will not carry it out: the player has it back."""
    return PostRequested(
        idempotency_key=withdrawal_key(withdrawal.id, RELEASE),
        kind="withdrawal.release",
        postings=(
            _leg(withdrawing(withdrawal.player), Side.DEBIT, withdrawal.amount, withdrawal.id),
            _leg(available(withdrawal.player), Side.CREDIT, withdrawal.amount),
        ),
        reference=withdrawal.reference,
    )


def _leg(account: str, side: Side, amount: Money, hold: UUID | None = None) -> Posting:
    return Posting(account=account, side=side, amount=str(amount), currency=amount.currency, hold=hold)
