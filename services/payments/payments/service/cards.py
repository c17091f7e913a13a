"""Cards: carries every operation of a card payment to its end, and writes down what that means.

Every step can be repeated after a crash. The provider is never asked twice for the same thing without first
being asked what became of it, and nothing it pushes or answers is believed before it was fetched.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, assert_never
from uuid import UUID

from common import deadlines, pg
from common.client import RemoteProblem, Unreachable

from payments.domain.cards import (
    ANOTHERS_OBJECT,
    Act,
    CardPayment,
    CardPaymentId,
    Operation,
    OperationId,
    OperationState,
    Reached,
    Reading,
    SendAgain,
    StayPut,
    Told,
    read_nothing,
    read_told,
)
from payments.domain.cases import Subject
from payments.domain.play import forbids, period_start
from payments.domain.refusals import NoSuchCardPayment
from payments.ledger import Ledger
from payments.people import People
from payments.psp import CardProvider
from payments.rail import RailSilent
from payments.service import card_effects
from payments.service.cases import open_case
from payments.service.pace import Clock, Pace
from payments.store.cards import CardStore
from payments.store.errors import LeaseLost
from payments.store.history import Answer, remember

log = logging.getLogger(__name__)

REFUSED_STATUS: Final = 422
KEY_REUSED: Final = "idempotency-key-reused"


class Cards:
    """Takes card operations that are due and carries each one step further, or more."""

    def __init__(
        self,
        pool: pg.Pool,
        ledger: Ledger,
        people: People,
        provider: CardProvider,
        *,
        window: timedelta,
        pace: Pace,
        clock: Clock,
    ) -> None:
        """`window` is how long after a send the provider may still not know of the operation."""
        self._pool = pool
        self._ledger = ledger
        self._people = people
        self._provider = provider
        self._window = window
        self._pace = pace
        self._clock = clock

    async def lease(self, limit: int) -> Sequence[Operation]:
        """Operations that are due, ours until the lease ends."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await CardStore(conn).lease_due(now, self._pace.lease_end(now), limit)

    async def advance(self, operation: Operation) -> None:
        """Carry on from the state the operation was left in.

        Raises `LeaseLost` if it took longer than the lease.
        """
        match operation.state:
            case OperationState.REQUESTED if operation.act is Act.REFUND:
                await self._reserve(operation)
            case OperationState.REQUESTED if operation.act in (Act.AUTHORIZE, Act.CAPTURE):
                await self._send_if_allowed(operation)
            case OperationState.REQUESTED | OperationState.RESERVED:
                await self._send(operation)
            case OperationState.SENDING:
                # Whoever began to send it did not live to tell how it went.
                unknown = operation.to(OperationState.UNKNOWN)
                lease_end = self._pace.lease_end(self._clock())
                await self._ask(await self._save(operation, unknown, "sender-died", due_at=lease_end))
            case OperationState.UNKNOWN | OperationState.PENDING | OperationState.BOOKED:
                await self._ask(operation)
            case _:
                raise LookupError(f"operation {operation.id} is due and there is nothing to do")

    async def hear(self, told: Told, operation_id: OperationId) -> bool:
        """Apply a fetched object to the operation whose key it has; False when there is none.

        Somebody may be working on the operation: the news is applied to where it is now.
        """
        async with pg.transaction(self._pool) as conn:
            found = await CardStore(conn).operation(operation_id)
            if found is None:
                return False
            payment = await _payment(conn, found.payment_id)
            operation = await CardStore(conn).operation(operation_id)
            if operation is None:
                return False
            if operation.sends == 0:
                await self._attend(
                    conn, payment, operation, "object-before-send", card_effects.words_of(told)
                )
                return True
            reading = await _reading(conn, payment, operation, told)
            await self._apply(conn, payment, operation, reading, told)
            return True

    async def _send_if_allowed(self, operation: Operation) -> None:
        """Ask the provider only for what the player allows themselves; while identity does not say, for nothing.

        A capture brings the money in, perhaps days after its authorization: what the player has said since counts.
        """
        async with pg.transaction(self._pool, readonly=True) as conn:
            payment = await _payment(conn, operation.payment_id, lock=False)
        try:
            allowance = await self._people.allowance(payment.player)
        except (RemoteProblem, Unreachable) as silence:
            await self._wait(operation, "identity-silent", {"error": str(silence)})
            return
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            payment, store = await _payment(conn, operation.payment_id), CardStore(conn)
            # Looked at and let through as one: of two payments at once, the second one looked at knows of the first.
            await store.one_at_a_time(payment.player)
            deposited = {
                period: await _deposited(store, payment, operation.act, period_start(period, now))
                for period in allowance.deposits
            }
            forbidden = forbids(allowance, operation.amount.amount, deposited, now)
            if forbidden is not None:
                after, event = operation.to(OperationState.REFUSED, reason=forbidden), forbidden
            else:
                after, event = operation.sending(now), "sending"
            await self._write(conn, payment, operation, after, event, None)
        if forbidden is None:
            await self._deliver(after)

    async def _reserve(self, operation: Operation) -> None:
        """Take a refund's money out of the player's reach before the provider is asked for it."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            payment = await CardStore(conn).payment(operation.payment_id)
        if payment is None:
            raise NoSuchCardPayment(f"operation {operation.id} has no payment")
        try:
            await self._ledger.reserve_refund(payment, operation)
        except RemoteProblem as problem:
            answer: Answer = {"status": problem.status, "slug": problem.slug, "detail": problem.detail}
            if problem.status == REFUSED_STATUS and problem.slug != KEY_REUSED:
                refused = operation.to(OperationState.REFUSED, reason=problem.slug)
                await self._save(operation, refused, problem.slug, answer)
            else:
                await self._wait(operation, problem.slug, answer)
        except Unreachable as silence:
            await self._wait(operation, silence.slug, {"error": silence.detail})
        else:
            async with pg.transaction(self._pool) as conn:
                payment = await _payment(conn, operation.payment_id)
                reserved = operation.to(OperationState.RESERVED)
                await self._write(conn, payment, operation, reserved, "reserved", None)
                # Its payment may just have been cleared: then its money stands in for what is spendable.
                reserved = await CardStore(conn).operation(operation.id) or reserved
            await self._send(reserved)

    async def _send(self, operation: Operation) -> None:
        """Write down that and when it is sent; then send it."""
        await self._deliver(await self._save(operation, operation.sending(self._clock()), "sending"))

    async def _deliver(self, sending: Operation) -> None:
        """Send it, once; then ask what became of it."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            payment = await _payment(conn, sending.payment_id, lock=False)
        try:
            await self._provider.send(sending, payment)
        except RailSilent as silence:
            unknown = sending.to(OperationState.UNKNOWN)
            await self._save(sending, unknown, "provider-silent", {"error": str(silence)})
            return
        await self._ask(sending)

    async def _ask(self, operation: Operation) -> None:
        """Ask the provider by our key what became of it."""
        try:
            told = await self._provider.find(operation)
        except RailSilent as silence:
            await self._wait(operation, "provider-silent", {"error": str(silence)})
            return
        if told is None and operation.state is OperationState.SENDING:
            unknown = operation.to(OperationState.UNKNOWN)
            await self._save(operation, unknown, "not-there-yet", {"object": None})
            return
        async with pg.transaction(self._pool) as conn:
            payment = await _payment(conn, operation.payment_id)
            if told is None:
                reading = read_nothing(operation, now=self._clock(), window=self._window)
            else:
                reading = await _reading(conn, payment, operation, told)
            again = await self._apply(conn, payment, operation, reading, told)
        if again:
            await self._send(operation)

    async def _apply(
        self,
        conn: pg.Connection,
        payment: CardPayment,
        operation: Operation,
        reading: Reading,
        told: Told | None,
    ) -> bool:
        """Write down what was read; True when the operation is to be sent again."""
        answer = card_effects.words_of(told)
        match reading:
            case Reached(state, reason):
                psp_id = told.psp_id if told and reason != ANOTHERS_OBJECT else None
                after = operation.to(state, reason=reason, psp_id=psp_id)
                if operation.act is Act.AUTHORIZE and told is not None and payment.expires_at is None:
                    payment = replace(payment, expires_at=told.expires_at)
                await self._write(conn, payment, operation, after, reason or state.lower(), answer)
            case SendAgain():
                return True
            case StayPut(attention) if attention:
                await self._attend(conn, payment, operation, attention, answer)
            case StayPut():
                if operation.state in _ASKING:
                    await self._rest(conn, operation, "no-answer-yet", answer)
            case _:
                assert_never(reading)
        return False

    async def _attend(
        self, conn: pg.Connection, payment: CardPayment, operation: Operation, attention: str, answer: Answer
    ) -> None:
        """Leave it to a person, and try on if it is still open: it may clear up."""
        log.error("a card operation needs a person",
                  extra={"operation_id": str(operation.id), "reason": attention})  # fmt: skip
        await open_case(
            conn, Subject.CARD, operation.id, attention, self._clock(),
            player=payment.player, amount=operation.amount.amount, evidence=answer,
        )  # fmt: skip
        await self._rest(conn, replace(operation, attention=attention), attention, answer)

    async def _rest(self, conn: pg.Connection, operation: Operation, event: str, answer: Answer) -> None:
        """Look again later, if there is anything to look for."""
        now = self._clock()
        due_at = self._due_at(operation, now)  # what has not been sent goes on, whatever somebody says of it
        if operation.state in _ASKING:
            tried = self._pace.next_try(now, operation.tries)
            due_at = self._pace.while_people_look(now) if operation.attention else tried
        after = (
            operation.to(OperationState.UNKNOWN) if operation.state is OperationState.SENDING else operation
        )
        await CardStore(conn).save_operation(operation, after, due_at)
        await remember(conn, "card", operation.id, after.state, event, answer)

    async def _wait(self, operation: Operation, event: str, answer: Answer) -> None:
        async with pg.transaction(self._pool) as conn:
            await _payment(conn, operation.payment_id)
            due_at = self._pace.next_try(self._clock(), operation.tries)
            sending = operation.state is OperationState.SENDING
            after = operation.to(OperationState.UNKNOWN) if sending else operation
            await CardStore(conn).save_operation(operation, after, due_at)
            await remember(conn, "card", operation.id, after.state, event, answer)

    async def _save(
        self,
        before: Operation,
        after: Operation,
        event: str,
        answer: Answer | None = None,
        *,
        due_at: datetime | None = None,
    ) -> Operation:
        async with pg.transaction(self._pool) as conn:
            payment = await _payment(conn, before.payment_id)
            await self._write(conn, payment, before, after, event, answer, due_at=due_at)
        return after

    async def _write(
        self,
        conn: pg.Connection,
        payment: CardPayment,
        before: Operation,
        after: Operation,
        event: str,
        answer: Answer | None,
        *,
        due_at: datetime | None = None,
    ) -> None:
        now = self._clock()
        due_at = due_at or self._due_at(after, now)
        await card_effects.write(conn, payment, before, after, event, answer, now, due_at)

    def _due_at(self, operation: Operation, now: datetime) -> datetime | None:
        """When an operation that came to this state is looked at again by itself."""
        match operation.state:
            case OperationState.UNKNOWN | OperationState.PENDING:
                return self._pace.next_try(now, operation.tries)
            case OperationState.REQUESTED | OperationState.RESERVED | OperationState.SENDING:
                return self._pace.lease_end(now)  # still in our hands: only a crash makes it due
            case _:
                return None


_ASKING: Final = frozenset({OperationState.SENDING, OperationState.UNKNOWN, OperationState.PENDING})


def card_deadlines(clock: Clock) -> dict[str, deadlines.Handler]:
    """What happens when an authorization runs out. The payment's row is its subject's lock."""

    async def lock(conn: pg.Connection, deadline: deadlines.Deadline) -> None:
        await _payment(conn, _payment_id(deadline.subject))

    async def expire(conn: pg.Connection, deadline: deadlines.Deadline) -> None:
        payment = await _payment(conn, _payment_id(deadline.subject))
        await card_effects.expire(conn, payment, clock())

    return {card_effects.EXPIRY: deadlines.Handler(lock=lock, effect=expire)}


def _payment_id(reference: str) -> CardPaymentId:
    return CardPaymentId(UUID(reference.removeprefix("cards/")))


async def _payment(conn: pg.Connection, payment_id: CardPaymentId, *, lock: bool = True) -> CardPayment:
    store = CardStore(conn)
    payment = await (store.payment_for_update(payment_id) if lock else store.payment(payment_id))
    if payment is None:
        raise LeaseLost(f"no card payment {payment_id}")
    return payment


async def _reading(conn: pg.Connection, payment: CardPayment, operation: Operation, told: Told) -> Reading:
    answered = await CardStore(conn).by_psp_id(told.psp_id)
    taken = answered is not None and answered.id != operation.id
    return read_told(operation, told, parent=payment.psp_id, taken=taken)


async def _deposited(store: CardStore, payment: CardPayment, act: Act, since: datetime) -> Decimal:
    """Beside what the player has deposited since then it is asked whether this still fits."""
    if act is Act.CAPTURE:
        return await store.brought_in(payment.player, since)
    return await store.deposited_beside(payment, since)
