"""What players and cashiers ask of cards: pay, capture a part, void, refund."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import uuid4

from common import pg
from common.idempotency import Answer, once
from common.money import Money

from payments.domain.accounts import PlayerId
from payments.domain.cards import (
    Act,
    CardPayment,
    CardPaymentId,
    Operation,
    OperationState,
    PaymentState,
)
from payments.domain.refusals import (
    CaptureImpossible,
    NoSuchCardPayment,
    RefundImpossible,
    VoidImpossible,
)
from payments.events import tell_card
from payments.service.card_effects import add_operation
from payments.service.pace import Clock
from payments.service.requests import Once
from payments.store.cards import CardStore
from payments.store.history import remember
from payments.store.pages import Place

Show = Callable[[CardPayment, Sequence[Operation]], Answer]

_PAID: frozenset[OperationState] = frozenset(
    {OperationState.BOOKED, OperationState.SETTLED, OperationState.CLEARED}
)
_GONE: frozenset[OperationState] = frozenset(
    {OperationState.REFUSED, OperationState.FAILED, OperationState.RELEASED, OperationState.REVERSED}
)


class CardRequests:
    """Use cases of one transaction each; the workers carry on from what they leave."""

    def __init__(self, pool: pg.Pool, *, psp: str, clock: Clock) -> None:
        self._pool = pool
        self._psp = psp
        self._clock = clock

    async def pay(
        self,
        player: PlayerId,
        amount: Money,
        card_token: str,
        asked: Once,
        show: Show,
        *,
        capture_at_once: bool,
    ) -> Answer:
        """Note the wish to pay by card; the worker has it authorised and, if so wished, captured at once."""
        now = self._clock()
        payment = CardPayment(
            id=CardPaymentId(uuid4()),
            player=player,
            psp=self._psp,
            card_token=card_token,
            amount=amount,
            capture_at_once=capture_at_once,
            state=PaymentState.CREATED,
            created_at=now,
        )
        async with pg.transaction(self._pool) as conn:

            async def work() -> Answer:
                await CardStore(conn).add_payment(payment)
                await remember(conn, "card", payment.id, payment.state, "created")
                await tell_card(conn, payment, now)
                operation = await add_operation(conn, payment, Act.AUTHORIZE, amount, "authorize", now)
                return show(payment, [operation])

            return await once(
                conn, principal=str(player), key=asked.key, fingerprint=asked.fingerprint, work=work
            )

    async def capture(
        self, person: str, payment_id: CardPaymentId, amount: Money, asked: Once, show: Show
    ) -> Answer:
        """Capture a part of what is authorised. `CaptureImpossible` comes back as an answer.

        Raises `NoSuchCardPayment`.
        """

        async def capture(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
            if payment.psp_id is None or payment.state not in _CAPTURABLE:
                raise CaptureImpossible(f"the payment is {payment.state}")
            name = f"{person}:{asked.key}"
            await add_operation(conn, payment, Act.CAPTURE, amount, name, now, person=person)

        return await self._do(person, None, payment_id, asked, show, capture)

    async def void(self, person: str, payment_id: CardPaymentId, asked: Once, show: Show) -> Answer:
        """Give up an authorization. `VoidImpossible` comes back as an answer. Raises `NoSuchCardPayment`."""

        async def void(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
            if payment.psp_id is None or payment.state not in _VOIDABLE:
                raise VoidImpossible(f"the payment is {payment.state}")
            name = f"{person}:{asked.key}"
            await add_operation(conn, payment, Act.VOID, payment.amount, name, now, person=person)

        return await self._do(person, None, payment_id, asked, show, void)

    async def refund(
        self,
        person: str,
        player: PlayerId | None,
        payment_id: CardPaymentId,
        amount: Money,
        asked: Once,
        show: Show,
    ) -> Answer:
        """Give back to the card, from where the money stands. `RefundImpossible` comes back as an answer.

        `player` narrows it to that player's payments. Raises `NoSuchCardPayment`.
        """

        async def refund(conn: pg.Connection, payment: CardPayment, now: datetime) -> None:
            operations = await CardStore(conn).operations(payment.id)
            zero = Money.zero(amount.currency)
            paid = [each for each in operations if each.act is Act.CAPTURE and each.state in _PAID]
            refunds = [each for each in operations if each.act is Act.REFUND and each.state not in _GONE]
            whole = sum((each.amount for each in paid), zero)
            taken = sum((each.amount for each in refunds), zero)
            if taken + amount > whole:
                raise RefundImpossible(
                    f"{whole - taken} {amount.currency} of it is booked and not refunded", field="amount"
                )
            uncleared = sum((each.amount for each in paid if each.stands_in == "uncleared"), zero) - sum(
                (each.amount for each in refunds if each.stands_in == "uncleared"), zero
            )
            stands_in = "uncleared" if uncleared >= amount else "available"
            name = f"{person}:{asked.key}"
            await add_operation(
                conn, payment, Act.REFUND, amount, name, now, stands_in=stands_in, person=person
            )

        return await self._do(person, player, payment_id, asked, show, refund)

    async def _do(
        self,
        person: str,
        player: PlayerId | None,
        payment_id: CardPaymentId,
        asked: Once,
        show: Show,
        act: Callable[[pg.Connection, CardPayment, datetime], Awaitable[None]],
    ) -> Answer:
        """Add an operation under the payment's lock, once."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:

            async def work() -> Answer:
                store = CardStore(conn)
                payment = await store.payment_for_update(payment_id)
                if payment is None or player not in (None, payment.player):
                    raise NoSuchCardPayment(f"no card payment {payment_id}")
                await act(conn, payment, now)
                again = await store.payment(payment_id)
                return show(again or payment, await store.operations(payment_id))

            return await once(conn, principal=person, key=asked.key, fingerprint=asked.fingerprint, work=work)

    async def payment(
        self, player: PlayerId | None, payment_id: CardPaymentId
    ) -> tuple[CardPayment, Sequence[Operation]]:
        """A payment with its operations. Raises `NoSuchCardPayment` for one that is not this player's."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            store = CardStore(conn)
            payment = await store.payment(payment_id)
            if payment is None or player not in (None, payment.player):
                raise NoSuchCardPayment(f"no card payment {payment_id}")
            return payment, await store.operations(payment_id)

    async def payments(self, player: PlayerId, after: Place | None, limit: int) -> Sequence[CardPayment]:
        async with pg.transaction(self._pool, readonly=True) as conn:
            return await CardStore(conn).page(player, after, limit)


_CAPTURABLE = frozenset(
    {PaymentState.AUTHORIZED, PaymentState.CAPTURING, PaymentState.CAPTURED, PaymentState.SETTLED}
)
_VOIDABLE = frozenset({PaymentState.AUTHORIZED, PaymentState.CAPTURING})
