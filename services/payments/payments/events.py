"""What payments tells the others: an event for every step they may care about, through the outbox."""

from datetime import datetime
from uuid import uuid4

from common.outbox import announce
from common.pg import Connection
from contracts import payments as told
from contracts.envelope import envelope
from contracts.ledger import PostRequested
from contracts.receipts import Purpose
from contracts.topology import COMMAND_QUEUES, COMMANDS
from contracts.wire import Event

from payments.domain.deposits import Deposit, DepositState
from payments.domain.withdrawals import Withdrawal, WithdrawalState

COMMAND_QUEUE = COMMAND_QUEUES["payments"]


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


async def _tell(conn: Connection, aggregate: str, version: int, event: Event, now: datetime) -> None:
    wrapped = envelope(event, id=uuid4(), subject=aggregate, version=version, time=now)
    await announce(conn, aggregate=aggregate, version=version, envelope=wrapped)


def _deposit_event(deposit: Deposit, now: datetime) -> Event | None:
    amount, currency = str(deposit.amount), deposit.amount.currency
    match deposit.state:
        case DepositState.CLAIMED:
            return told.DepositClaimed(
                deposit_id=deposit.id,
                user_id=deposit.player,
                tracking_key=deposit.transfer.tracking_key,
                amount=amount,
                currency=currency,
                claimed_at=deposit.claimed_at,
            )
        case DepositState.ATTESTED:
            return told.DepositAttested(
                deposit_id=deposit.id,
                user_id=deposit.player,
                receipt_id=deposit.transfer.receipt_id,
                purpose=Purpose.DEPOSIT,
                amount=amount,
                currency=currency,
                attested_at=now,
            )
        case DepositState.BOOKED if deposit.entry_id is not None:
            return told.DepositBooked(
                deposit_id=deposit.id,
                user_id=deposit.player,
                receipt_id=deposit.transfer.receipt_id,
                entry_id=deposit.entry_id,
                amount=amount,
                currency=currency,
            )
        case DepositState.REJECTED:
            return told.DepositRejected(
                deposit_id=deposit.id, user_id=deposit.player, reason=deposit.reason or "rejected"
            )
        case _:
            return None


def _withdrawal_event(withdrawal: Withdrawal) -> Event | None:
    ids = {"withdrawal_id": withdrawal.id, "user_id": withdrawal.player}
    amount, currency = str(withdrawal.amount), withdrawal.amount.currency
    match withdrawal.state:
        case WithdrawalState.REQUESTED:
            return told.WithdrawalRequested(
                **ids, amount=amount, currency=currency, requested_at=withdrawal.requested_at
            )
        case WithdrawalState.RESERVED:
            return told.WithdrawalReserved(**ids)
        case WithdrawalState.SENT:
            return told.WithdrawalSent(**ids, tracking_key=withdrawal.tracking_key)
        case WithdrawalState.BOOKED:
            return told.WithdrawalLiquidated(**ids, amount=amount, currency=currency)
        case WithdrawalState.REFUSED | WithdrawalState.RELEASED:
            return told.WithdrawalFailed(**ids, reason=withdrawal.reason or "failed")
        case _:
            return None
