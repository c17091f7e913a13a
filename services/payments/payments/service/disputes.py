"""Disputes as they are heard of: opened once, ended once, whatever is told of them how often."""

from datetime import datetime
from typing import Final

from common import pg

from payments.domain.cards import CardPayment, Operation, OperationId, Told
from payments.domain.cases import Subject
from payments.domain.disputes import DisputeState, told_state
from payments.events import tell_dispute
from payments.service import card_effects
from payments.service.cases import open_case
from payments.store.cards import CardStore
from payments.store.disputes import DisputeStore
from payments.store.history import remember

MAX_ID: Final = 128
"""So much of the provider's id of a dispute is kept."""


async def hear(conn: pg.Connection, told: Told, operation_id: OperationId, now: datetime) -> bool:
    """Somebody disputes a payment: what is not being refunded can no longer be, until that ends in our favour.

    People are told when it is opened, and when the provider takes back how it ended. False when it is about no operation
    of ours.
    """
    operation = await card_effects.locked(conn, operation_id)
    payment = None if operation is None else await CardStore(conn).payment(operation.payment_id)
    if operation is None or payment is None:
        return False
    store, state, dispute = DisputeStore(conn), told_state(told.standing), told.psp_id[:MAX_ID]
    known = await store.state(dispute)
    if known is None:
        await store.open(dispute, operation.id, operation.amount, now)
        await _case(conn, payment, operation, told, told.act, now)
        await _tell(conn, payment, operation, told, told.act, 1, now)
        known = DisputeState.OPEN
    if state is known:
        return True
    if known is DisputeState.OPEN:
        await store.end(dispute, state, now)
        await _tell(conn, payment, operation, told, state.lower(), 2, now)
    else:
        await _case(conn, payment, operation, told, f"{told.act}-was-{known.lower()}", now)
    return True


async def _case(
    conn: pg.Connection, payment: CardPayment, operation: Operation, told: Told, what: str, now: datetime
) -> None:
    await open_case(
        conn, Subject.CARD, operation.id, f"{what}:{told.psp_id}"[:100], now,
        player=payment.player, amount=operation.amount.amount, evidence=card_effects.words_of(told),
    )  # fmt: skip


async def _tell(
    conn: pg.Connection,
    payment: CardPayment,
    operation: Operation,
    told: Told,
    step: str,
    version: int,
    now: datetime,
) -> None:
    await remember(
        conn, "card", payment.id, payment.state, f"{told.act}: {step}"[:100], card_effects.words_of(told)
    )
    await tell_dispute(conn, payment, operation, told, step, version, now)
