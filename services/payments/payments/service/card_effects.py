"""What follows from a card operation's new state: in the same transaction, under the payment's lock."""

from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from common import deadlines, pg
from common.money import Money

from payments.domain.accounts import uncleared
from payments.domain.cards import (
    Act,
    CardPayment,
    Operation,
    OperationId,
    OperationState,
    PaymentState,
    Told,
    may_step,
    payment_after,
)
from payments.domain.cases import Subject
from payments.domain.proofs import Purpose, ask
from payments.entries import clear_command, refund_done_command, refund_fail_command
from payments.events import command_ledger, tell_card, tell_operation
from payments.service.cases import open_case, watch_deposits
from payments.store.cards import CardStore
from payments.store.history import Answer, remember
from payments.store.payout_files import PayoutFileStore
from payments.store.proofs import ProofStore

EXPIRY: Final = "card-authorization-expires"
"""The deadline's kind; its subject is the payment's reference."""

_GONE: Final = frozenset(
    {OperationState.REFUSED, OperationState.FAILED, OperationState.RELEASED, OperationState.REVERSED}
)

_MOVING: Final = frozenset({OperationState.REQUESTED, OperationState.FAILED, OperationState.REVERSING})
"""States of a refund in which the ledger is asked to move its money, and may have done so or not."""
_MOVED: Final = frozenset(
    {OperationState.RESERVED, OperationState.REFUSED, OperationState.RELEASED, OperationState.REVERSED}
)
"""The states that these lead to when the ledger has answered."""


def words_of(told: Told | None) -> Answer:
    """What the provider has said of an object, for the history."""
    if told is None:
        return {"object": None}
    return {
        "object": told.psp_id,
        "act": told.act,
        "status": str(told.standing),
        "amount": told.amount,
        "currency": told.currency,
        "reason": told.reason,
    }


async def write(
    conn: pg.Connection,
    payment: CardPayment,
    before: Operation,
    after: Operation,
    event: str,
    answer: Answer | None,
    now: datetime,
    due_at: datetime | None,
    person: str | None = None,
) -> None:
    """An operation's new state, its place in the history, what it makes of the payment and what follows.

    Raises `LeaseLost`.
    """
    store = CardStore(conn)
    booked_at = now if after.state is OperationState.BOOKED else None
    await store.save_operation(before, after, due_at, booked_at)
    await remember(conn, "card", after.id, after.state, event, answer, person=person)
    reached = payment_after(payment, after)
    if reached is not payment:
        await store.save_payment(reached)
        await remember(conn, "card", payment.id, reached.state, event)
    if reached.state is not payment.state:
        await tell_card(conn, reached, now)
    await tell_operation(conn, reached, after, now)
    await follow(conn, reached, after, now)


async def follow(conn: pg.Connection, payment: CardPayment, operation: Operation, now: datetime) -> None:
    """Book, arm, ask or open what the operation's new state calls for."""
    if operation.state is OperationState.CONFLICTED:
        await open_case(
            conn, Subject.CARD, operation.id, operation.reason or "conflicted", now,
            player=payment.player, amount=operation.amount.amount,
        )  # fmt: skip
        return
    match operation.act:
        case Act.AUTHORIZE if operation.state is OperationState.CONFIRMED:
            await _authorized(conn, payment, now)
        case Act.CAPTURE:
            await _follow_capture(conn, payment, operation, now)
        case Act.VOID if operation.state is OperationState.CONFIRMED:
            await deadlines.cancel(conn, payment.reference, EXPIRY)
        case Act.VOID if operation.state is OperationState.FAILED:
            await _expire_if_over(conn, payment, now)
        case Act.REFUND:
            await _follow_refund(conn, payment, operation, now)


async def locked(conn: pg.Connection, operation_id: UUID) -> Operation | None:
    """An operation, by an id that may be none's, with its payment locked."""
    store = CardStore(conn)
    found = await store.operation_by_id(operation_id)
    if found is None:
        return None
    await store.payment_for_update(found.payment_id)
    return await store.operation_by_id(operation_id)


async def step(
    conn: pg.Connection, operation_id: UUID, state: OperationState, event: str, now: datetime
) -> None:
    """One step of an operation whose money the ledger has moved, with what follows from it."""
    operation = await locked(conn, operation_id)
    if operation is None or operation.state is state:
        return
    payment = await CardStore(conn).payment(operation.payment_id)
    if payment is None:
        return
    if not may_step(operation.act, operation.state, state):
        await open_case(conn, Subject.CARD, operation.id, f"booked-while-{operation.state}", now)
        return
    await write(conn, payment, operation, operation.to(state), event, None, now, None)


async def settle(conn: pg.Connection, file_id: UUID, now: datetime) -> None:
    """What a file pays out, or sets off, is settled."""
    for operation_id in await PayoutFileStore(conn).settled_by(file_id):
        await step(conn, operation_id, OperationState.SETTLED, "settled", now)


async def _follow_capture(
    conn: pg.Connection, payment: CardPayment, capture: Operation, now: datetime
) -> None:
    match capture.state:
        case OperationState.REFUSED:
            await _void_if_nobody_captures(conn, payment, capture, now)
        case OperationState.CONFIRMED:
            await _ask_for_capture(conn, payment, capture, now)
        case OperationState.BOOKED:
            await _refund_if_voided(conn, payment, capture, now)
            await watch_deposits(conn, payment.player, now)
        case OperationState.SETTLED:
            await clear(conn, payment, now)
        case OperationState.FAILED:
            await _expire_if_over(conn, payment, now)


async def _follow_refund(conn: pg.Connection, payment: CardPayment, refund: Operation, now: datetime) -> None:
    match refund.state:
        case state if state in _MOVED:
            await clear(conn, payment, now)
        case OperationState.CONFIRMED:
            await command_ledger(conn, refund_done_command(payment, refund), refund.version, now)
        case OperationState.FAILED:
            await command_ledger(conn, refund_fail_command(payment, refund), refund.version, now)
        case OperationState.REVERSING:
            await _ask_for_reversal(conn, payment, refund, now)


async def _authorized(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
    if payment.expires_at is None:
        await CardStore(conn).save_payment(replace(payment, expires_at=payment.stands_until))
    await deadlines.arm(conn, payment.reference, EXPIRY, payment.stands_until)
    if payment.capture_at_once:
        await add_operation(conn, payment, Act.CAPTURE, payment.amount, "at-once", now)


async def add_operation(
    conn: pg.Connection,
    payment: CardPayment,
    act: Act,
    amount: Money,
    name: str,
    now: datetime,
    *,
    stands_in: str = "uncleared",
    person: str | None = None,
) -> Operation:
    """A new operation of a payment that this transaction has locked. The name makes its key: the same name is
    the same operation. `person` is who asked for it, if somebody did.

    Raises `CaptureImpossible`, `RefundImpossible`, `VoidImpossible`."""
    operation = Operation(
        id=OperationId(uuid5(payment.id, f"{act}:{name}")),
        payment_id=payment.id,
        act=act,
        amount=amount,
        state=OperationState.REQUESTED,
        requested_at=now,
        stands_in=stands_in,
    )
    await CardStore(conn).add_operation(operation, now)
    wanted = {"act": act, "amount": str(amount)}
    await remember(conn, "card", operation.id, operation.state, "requested", wanted, person=person)
    await tell_operation(conn, payment, operation, now)
    return operation


async def _ask_for_capture(
    conn: pg.Connection, payment: CardPayment, capture: Operation, now: datetime
) -> None:
    proof = ask(
        Purpose.CARD_CAPTURE,
        rail=payment.psp,
        tracking_key=f"CAPTURE:{(capture.psp_id or '').upper()}",
        subject_id=capture.id,
        account=uncleared(payment.player),
        amount=capture.amount,
        reference=payment.reference,
        now=now,
    )
    if not await ProofStore(conn).ask(proof):
        await open_case(conn, Subject.CARD, capture.id, "captured-before", now, player=payment.player)


async def _ask_for_reversal(
    conn: pg.Connection, payment: CardPayment, refund: Operation, now: datetime
) -> None:
    proof = ask(
        Purpose.REFUND_RETURNED,
        rail=payment.psp,
        tracking_key=f"REFUND-FAILED:{(refund.psp_id or '').upper()}",
        subject_id=refund.id,
        account=f"players/{payment.player}/{refund.stands_in}",
        amount=refund.amount,
        reference=payment.reference,
        now=now,
    )
    await ProofStore(conn).ask(proof)


async def _void_if_nobody_captures(
    conn: pg.Connection, payment: CardPayment, capture: Operation, now: datetime
) -> None:
    """What was to be captured at once and may not be gives the card its money back; what a cashier captures in parts is
    left to the cashier."""
    operations = await CardStore(conn).operations(payment.id)
    voided = any(each.act is Act.VOID and each.state not in _GONE for each in operations)
    if payment.capture_at_once and payment.state is PaymentState.AUTHORIZED and not voided:
        await add_operation(conn, payment, Act.VOID, payment.amount, f"refused:{capture.id}", now)


async def _refund_if_voided(
    conn: pg.Connection, payment: CardPayment, capture: Operation, now: datetime
) -> None:
    """A capture that arrived after our void was booked, since it happened; now it goes back."""
    operations = await CardStore(conn).operations(payment.id)
    if any(each.act is Act.VOID and each.state is OperationState.CONFIRMED for each in operations):
        await add_operation(conn, payment, Act.REFUND, capture.amount, f"void:{capture.id}", now)


async def _expire_if_over(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
    if now >= payment.stands_until:
        await expire(conn, payment, now)


async def expire(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
    """The provider no longer stands by it. One that is being captured or voided waits for that."""
    if payment.state is PaymentState.AUTHORIZED:
        expired = payment.at(PaymentState.EXPIRED, reason="authorization-expired")
        await CardStore(conn).save_payment(expired)
        await remember(conn, "card", payment.id, expired.state, "expired", {"at": now.isoformat()})
        await tell_card(conn, expired, now)


async def clear(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
    """Make spendable what has been paid out, less the refunds that were taken from it before.

    Waits while the ledger is asked to move a refund's money, since it may book one thing before the other, and while the
    refunds exceed what has settled: its answer, or the next capture that settles, clears it.
    """
    store = CardStore(conn)
    waiting = [each for each in await store.operations(payment.id) if each.stands_in == "uncleared"]
    settled = [each for each in waiting if each.act is Act.CAPTURE and each.state is OperationState.SETTLED]
    refunds = [each for each in waiting if each.act is Act.REFUND and each.state not in _GONE]
    if not settled or any(each.act is Act.REFUND and each.state in _MOVING for each in waiting):
        return
    zero = Money.zero(payment.amount.currency)
    left = sum((each.amount for each in settled), zero) - sum((each.amount for each in refunds), zero)
    if left < zero:
        return
    for each in (*settled, *refunds):
        await store.stand_in_available(each)
    if left.is_positive:
        # A capture is cleared once, so its name is the key.
        await command_ledger(conn, clear_command(payment, settled[0], left), settled[0].version, now)
    else:
        await cleared(conn, payment, now)


async def cleared(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
    """The ledger has made it spendable."""
    store = CardStore(conn)
    for each in await store.operations(payment.id):
        if each.act is Act.CAPTURE and each.state is OperationState.SETTLED and each.stands_in == "available":
            after = each.to(OperationState.CLEARED)
            await store.save_operation(each, after, None)
            await remember(conn, "card", each.id, after.state, "cleared")
            await tell_operation(conn, payment, after, now)


NOBODY: Final = UUID(int=0)
"""What is about no operation of ours is noted under this."""


def operation_id_of(told: Told) -> OperationId | None:
    """The operation that an object is about; None for one whose key cannot be ours."""
    try:
        return OperationId(UUID(told.key))
    except ValueError:
        return None


async def about_nobody(conn: pg.Connection, told: Told, now: datetime) -> bool:
    """An object of the provider's that is about nothing of ours is for people, once."""
    return await open_case(
        conn, Subject.CARD, NOBODY, f"unknown-object:{told.psp_id}"[:100], now, once=True,
        evidence={"object": told.psp_id, "act": told.act, "amount": told.amount, "status": str(told.standing)},
    )  # fmt: skip
