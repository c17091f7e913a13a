"""What payments asks the ledger to book: the legs, keys and references of its kinds of entry."""

from typing import Final
from uuid import UUID, uuid5

from common.money import Money
from contracts.ledger import EntryRequest, Posting, PostRequested, Side

from payments.domain.accounts import (
    BANK,
    LOSSES,
    SUSPENSE,
    available,
    clearing,
    contested,
    receivable,
    uncleared,
    withdrawing,
)
from payments.domain.cards import CardPayment, Operation
from payments.domain.deposits import Deposit
from payments.domain.disputes import DisputeEntry, Recovery, Shortfall, Step
from payments.domain.proofs import Proof, Purpose
from payments.domain.withdrawals import Withdrawal

DONE: Final = "done"
RELEASE: Final = "release"
FAIL: Final = "fail"
CLEAR: Final = "clear"
DISPUTE: Final = "dispute"

RETURNED: Final = UUID("0f2e5f0a-52ab-5f0f-9a56-8ad1f2f6a9c3")
"""The namespace of the holds that returned withdrawals wait under."""


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


def returned_hold(withdrawal_id: UUID) -> UUID:
    """The hold under which a withdrawal that came back waits for its release."""
    return uuid5(RETURNED, str(withdrawal_id))


def returned_release_command(withdrawal: Withdrawal) -> PostRequested:
    """What came back is the player's again."""
    return PostRequested(
        idempotency_key=f"returned:{withdrawal.id}:{RELEASE}",
        kind="withdrawal.release",
        postings=(
            _leg(withdrawing(withdrawal.player), Side.DEBIT, withdrawal.amount, returned_hold(withdrawal.id)),
            _leg(available(withdrawal.player), Side.CREDIT, withdrawal.amount),
        ),
        reference=withdrawal.reference,
    )


def proof_key(receipt_id: UUID) -> str:
    """The receipt is the business fact: it is booked once, whoever asks and how often."""
    return f"proof:{receipt_id}"


def proof_entry(proof: Proof) -> EntryRequest:
    """What a proof pays for."""
    credited = proof.account
    hold = returned_hold(proof.subject_id) if proof.purpose is Purpose.WITHDRAWAL_RETURNED else None
    debits: tuple[Posting, ...]
    match proof.purpose:
        case Purpose.SUSPENSE | Purpose.WITHDRAWAL_RETURNED:
            debits = (_leg(BANK, Side.DEBIT, proof.amount),)
        case Purpose.SUSPENSE_ASSIGN | Purpose.SUSPENSE_RETURN:
            debits = (_leg(SUSPENSE, Side.DEBIT, proof.amount),)
        case Purpose.CARD_CAPTURE | Purpose.REFUND_RETURNED:
            debits = (_leg(receivable(proof.rail), Side.DEBIT, proof.amount),)
        case Purpose.CARD_SETTLE:
            debits = tuple(
                _leg(account, Side.DEBIT, part)
                for account, part in ((BANK, proof.amount - proof.fee), (f"fees/{proof.rail}", proof.fee))
                if part.is_positive
            )
    return EntryRequest(
        kind=proof.purpose,
        postings=(*debits, _leg(credited, Side.CREDIT, proof.amount, hold)),
        reference=proof.reference,
        receipt=proof.receipt_id,
    )


def refund_key(operation_id: UUID, step: str) -> str:
    """Each step of a refund is booked once."""
    return f"refund:{operation_id}:{step}"


def refund_reserve_entry(payment: CardPayment, refund: Operation) -> EntryRequest:
    """Take what is to be refunded out of the player's reach, under a hold that has the refund's id."""
    return EntryRequest(
        kind="refund.request",
        postings=(
            _leg(_stands_in(payment, refund), Side.DEBIT, refund.amount),
            _leg(clearing(payment.psp), Side.CREDIT, refund.amount, refund.id),
        ),
        reference=payment.reference,
    )


def refund_done_command(payment: CardPayment, refund: Operation) -> PostRequested:
    """The provider has given it back to the card and will pay us that much less."""
    return PostRequested(
        idempotency_key=refund_key(refund.id, DONE),
        kind="refund.done",
        postings=(
            _leg(clearing(payment.psp), Side.DEBIT, refund.amount, refund.id),
            _leg(receivable(payment.psp), Side.CREDIT, refund.amount),
        ),
        reference=payment.reference,
    )


def refund_fail_command(payment: CardPayment, refund: Operation) -> PostRequested:
    """The provider will not give it back: it is the player's again, where it was taken from."""
    return PostRequested(
        idempotency_key=refund_key(refund.id, FAIL),
        kind="refund.fail",
        postings=(
            _leg(clearing(payment.psp), Side.DEBIT, refund.amount, refund.id),
            _leg(_stands_in(payment, refund), Side.CREDIT, refund.amount),
        ),
        reference=payment.reference,
    )


def clear_command(payment: CardPayment, capture: Operation, amount: Money) -> PostRequested:
    """The provider has paid out: what is left of it may be bet and withdrawn."""
    return PostRequested(
        idempotency_key=f"card:{capture.id}:{CLEAR}",
        kind="card.clear",
        postings=(
            _leg(uncleared(payment.player), Side.DEBIT, amount),
            _leg(available(payment.player), Side.CREDIT, amount),
        ),
        reference=payment.reference,
    )


def dispute_command(entry: DisputeEntry) -> PostRequested:
    """What a file took for a dispute is contested; what one gave back the provider owes us again; what is lost is the house's."""
    disputed, owed = contested(entry.psp), receivable(entry.psp)
    debit, credit = {
        Step.OPEN: (disputed, owed),
        Step.WON: (owed, disputed),
        Step.LOST: (LOSSES, disputed),
    }[entry.step]
    return PostRequested(
        idempotency_key=f"{DISPUTE}:{entry.id}",
        kind=f"dispute.{entry.step}",
        postings=(_leg(debit, Side.DEBIT, entry.amount), _leg(credit, Side.CREDIT, entry.amount)),
        reference=entry.reference,
    )


def recovery_key(recovery: Recovery) -> str:
    """Each part is taken once."""
    return f"dispute-recovery:{recovery.id}"


def recovery_entry(shortfall: Shortfall, recovery: Recovery) -> EntryRequest:
    """What a player has makes up for what was lost by their dispute."""
    return EntryRequest(
        kind="dispute.recover",
        postings=(
            _leg(available(shortfall.player), Side.DEBIT, recovery.amount),
            _leg(LOSSES, Side.CREDIT, recovery.amount),
        ),
        reference=shortfall.reference,
    )


def _stands_in(payment: CardPayment, operation: Operation) -> str:
    return f"players/{payment.player}/{operation.stands_in}"


def _leg(account: str, side: Side, amount: Money, hold: UUID | None = None) -> Posting:
    return Posting(account=account, side=side, amount=str(amount), currency=amount.currency, hold=hold)
