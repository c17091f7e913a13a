"""What payments tells the others: an event for every step they may care about, through the outbox."""

from datetime import datetime
from typing import Final
from uuid import uuid4

from common.outbox import announce
from common.pg import Connection
from contracts import payments as events
from contracts.envelope import envelope
from contracts.ledger import PostRequested
from contracts.receipts import Purpose
from contracts.topology import COMMAND_QUEUES, COMMANDS
from contracts.wire import Event

from payments.domain.cards import Act, CardPayment, Operation, OperationState, PaymentState, Told
from payments.domain.deposits import Deposit, DepositState
from payments.domain.withdrawals import Withdrawal, WithdrawalState

COMMAND_QUEUE = COMMAND_QUEUES["payments"]

MAX_WORDS: Final = 100
"""So much of the provider's own words goes into an event, in characters."""


async def tell_deposit(conn: Connection, deposit: Deposit, now: datetime) -> None:
    """Announce the state the deposit has come to, if that state is told at all."""
    event = _deposit_event(deposit, now)
    if event is not None:
        await _tell(conn, f"deposits/{deposit.id}", deposit.version, event, now)


async def tell_withdrawal(conn: Connection, withdrawal: Withdrawal, now: datetime) -> None:
    """Announce the state the withdrawal has come to, if that state is told at all."""
    event = _withdrawal_event(withdrawal)
    if event is not None:
        await _tell(conn, withdrawal.reference, withdrawal.version, event, now)


async def tell_card(conn: Connection, payment: CardPayment, now: datetime) -> None:
    """Announce the state the card payment has come to, if that state is told at all."""
    event = _card_event(payment)
    if event is not None:
        await _tell(conn, payment.reference, payment.version, event, now)


async def tell_operation(conn: Connection, payment: CardPayment, operation: Operation, now: datetime) -> None:
    """Announce the state that a card operation has come to, if that state is told at all."""
    event = _operation_event(payment, operation)
    if event is not None:
        await _tell(conn, payment.reference, operation.version, event, now, subject=operation.reference)


async def tell_dispute(
    conn: Connection,
    payment: CardPayment,
    disputed: Operation,
    told: Told,
    step: str,
    version: int,
    now: datetime,
) -> None:
    """Announce that a card payment is disputed, and how that ended; `version` counts what is told of this dispute."""
    dispute = told.psp_id[:MAX_WORDS]
    event = events.CardDisputed(
        card_payment_id=payment.id,
        user_id=payment.player,
        dispute=dispute,
        step=step[:MAX_WORDS],
        amount=str(disputed.amount),
        currency=disputed.amount.currency,
    )
    await _tell(
        conn, payment.reference, version, event, now, subject=f"{payment.reference}/disputes/{dispute}"
    )


async def command_ledger(conn: Connection, command: PostRequested, version: int, now: datetime) -> None:
    """Have a fact booked: the command leaves in the transaction that established the fact.

    What it refers to is its aggregate: commands about one thing leave in the order they were given.
    """
    wrapped = envelope(
        command, id=uuid4(), subject=command.reference, version=version, time=now, source="/payments"
    )
    await announce(
        conn,
        aggregate=command.reference,
        version=version,
        envelope=wrapped,
        exchange=COMMANDS,
        routing_key=COMMAND_QUEUE,
    )


async def _tell(
    conn: Connection,
    aggregate: str,
    version: int,
    event: Event,
    now: datetime,
    *,
    subject: str | None = None,
) -> None:
    """`version` is the subject's, which is the aggregate unless it is a part of it."""
    wrapped = envelope(
        event, id=uuid4(), subject=subject or aggregate, version=version, time=now, partition_key=aggregate
    )
    await announce(conn, aggregate=aggregate, version=version, envelope=wrapped)


def _deposit_event(deposit: Deposit, now: datetime) -> Event | None:
    amount, currency = str(deposit.amount), deposit.amount.currency
    match deposit.state:
        case DepositState.CLAIMED:
            return events.DepositClaimed(
                deposit_id=deposit.id,
                user_id=deposit.player,
                tracking_key=deposit.transfer.tracking_key,
                amount=amount,
                currency=currency,
                claimed_at=deposit.claimed_at,
            )
        case DepositState.ATTESTED:
            return events.DepositAttested(
                deposit_id=deposit.id,
                user_id=deposit.player,
                receipt_id=deposit.transfer.receipt_id,
                purpose=Purpose.DEPOSIT,
                amount=amount,
                currency=currency,
                attested_at=now,
            )
        case DepositState.BOOKED if deposit.entry_id is not None:
            return events.DepositBooked(
                deposit_id=deposit.id,
                user_id=deposit.player,
                receipt_id=deposit.transfer.receipt_id,
                entry_id=deposit.entry_id,
                amount=amount,
                currency=currency,
            )
        case DepositState.REJECTED:
            return events.DepositRejected(
                deposit_id=deposit.id, user_id=deposit.player, reason=deposit.reason or "rejected"
            )
        case _:
            return None


def _withdrawal_event(withdrawal: Withdrawal) -> Event | None:
    ids = {"withdrawal_id": withdrawal.id, "user_id": withdrawal.player}
    amount, currency = str(withdrawal.amount), withdrawal.amount.currency
    match withdrawal.state:
        case WithdrawalState.REQUESTED:
            return events.WithdrawalRequested(
                **ids, amount=amount, currency=currency, requested_at=withdrawal.requested_at
            )
        case WithdrawalState.RESERVED:
            return events.WithdrawalReserved(**ids)
        case WithdrawalState.SENT:
            return events.WithdrawalSent(**ids, tracking_key=withdrawal.tracking_key)
        case WithdrawalState.BOOKED:
            return events.WithdrawalLiquidated(**ids, amount=amount, currency=currency)
        case WithdrawalState.REFUSED | WithdrawalState.RELEASED:
            return events.WithdrawalFailed(**ids, reason=withdrawal.reason or "failed")
        case _:
            return None


def _card_event(payment: CardPayment) -> Event | None:
    ids = {"card_payment_id": payment.id, "user_id": payment.player}
    amount, currency = str(payment.amount), payment.amount.currency
    match payment.state:
        case PaymentState.CREATED:
            return events.CardRequested(
                **ids, amount=amount, currency=currency, requested_at=payment.created_at
            )
        case PaymentState.AUTHORIZED:
            return events.CardAuthorized(
                **ids, amount=amount, currency=currency, expires_at=payment.stands_until
            )
        case PaymentState.DECLINED:
            return events.CardDeclined(**ids, reason=_words(payment.reason, "declined"))
        case PaymentState.VOIDED:
            return events.CardVoided(**ids)
        case PaymentState.EXPIRED:
            return events.CardExpired(**ids)
        case _:
            return None


def _operation_event(payment: CardPayment, operation: Operation) -> Event | None:
    if operation.state is OperationState.CONFLICTED:
        return events.CardConflicted(
            card_payment_id=payment.id,
            user_id=payment.player,
            operation_id=operation.id,
            act=operation.act.value,
            reason=_words(operation.reason, "conflicted"),
        )
    match operation.act:
        case Act.CAPTURE:
            return _capture_event(payment, operation)
        case Act.REFUND:
            return _refund_event(payment, operation)
        case _:
            return None


def _capture_event(payment: CardPayment, capture: Operation) -> Event | None:
    ids = {"card_payment_id": payment.id, "user_id": payment.player, "capture_id": capture.id}
    amount, currency = str(capture.amount), capture.amount.currency
    match capture.state:
        case OperationState.BOOKED:
            return events.CaptureBooked(**ids, amount=amount, currency=currency)
        case OperationState.FAILED | OperationState.REFUSED:
            reason = _words(capture.reason, "failed")
            return events.CaptureFailed(**ids, amount=amount, currency=currency, reason=reason)
        case OperationState.SETTLED:
            return events.CaptureSettled(**ids, amount=amount, currency=currency)
        case OperationState.CLEARED:
            return events.CaptureCleared(**ids)
        case _:
            return None


def _refund_event(payment: CardPayment, refund: Operation) -> Event | None:
    ids = {"card_payment_id": payment.id, "user_id": payment.player, "refund_id": refund.id}
    amount, currency = str(refund.amount), refund.amount.currency
    match refund.state:
        case OperationState.REQUESTED:
            return events.RefundRequested(
                **ids, amount=amount, currency=currency, requested_at=refund.requested_at
            )
        case OperationState.BOOKED:
            return events.RefundBooked(**ids, amount=amount, currency=currency)
        case OperationState.REFUSED | OperationState.RELEASED | OperationState.REVERSED:
            reason = _words(refund.reason, "failed")
            return events.RefundFailed(**ids, amount=amount, currency=currency, reason=reason)
        case _:
            return None


def _words(reason: str | None, otherwise: str) -> str:
    """A provider's words, as long as a contract's text may be."""
    return (reason or otherwise)[:MAX_WORDS]
