"""Disputes as they are heard of: opened once, ended once, whatever is told of them how often and by whom.

A webhook may never come, so the provider is also asked what it has on its list; and about each that a settlement file names.
"""

import logging
from datetime import datetime, timedelta
from typing import Final, Literal

from common import pg
from prometheus_client import Counter

from payments.domain.cards import Act, CardPayment, Operation, Told
from payments.domain.cases import Subject
from payments.domain.disputes import DisputeState, told_state
from payments.events import tell_dispute
from payments.psp import CardProvider
from payments.rail import RailSilent
from payments.service import card_effects
from payments.service.cases import open_case
from payments.service.pace import Clock
from payments.store.cards import CardStore
from payments.store.disputes import DisputeStore
from payments.store.history import remember

log = logging.getLogger(__name__)

By = Literal["webhook", "list", "file"]

HEARD: Final = Counter(
    "payments_disputes_heard", "Disputes that were opened or ended, by who told of it first.", ("by",)
)
MAX_ID: Final = 128
"""So much of the provider's id of a dispute is kept."""
OURS: Final = frozenset(Act)
"""What we ask for ourselves; anything else (a dispute) is the cardholder's or the provider's doing."""
LOOK_BACK: Final = timedelta(days=180)
"""How far back the list is read when a process starts: longer than the card networks' disputes last."""
OVERLAP: Final = timedelta(minutes=10)
"""How far it is read anew each time: what it shows late."""
MOST_PAGES: Final = 1000


class Disputes:
    """Hears of disputes, from whoever tells of them."""

    def __init__(self, pool: pg.Pool, provider: CardProvider, *, patience: timedelta, clock: Clock) -> None:
        """A webhook has `patience` to come before the list is asked instead."""
        self._pool = pool
        self._provider = provider
        self._patience = patience
        self._clock = clock
        self._since: datetime | None = None

    async def look(self) -> None:
        """Read the provider's list of what has changed. One whose object cannot be had holds up no other.

        Raises `RailSilent` after the others; the same are looked at again then.
        """
        until = self._clock() - self._patience
        since = self._since or until - LOOK_BACK
        after, silence = "", None
        for _ in range(MOST_PAGES):
            ids = await self._provider.disputes(since, until, after)
            if not ids:
                break
            for each in ids:
                try:
                    await self._fetch(each)
                except RailSilent as silent:
                    silence = silent
            after = ids[-1]
        if silence is not None:
            raise silence
        self._since = until - OVERLAP

    async def _fetch(self, psp_id: str) -> None:
        told = await self._provider.fetch(psp_id)
        if told is None:
            raise RailSilent(f"dispute {psp_id} is on the list and not known")
        await self.hear(told, by="list")

    async def learn(self, psp_id: str) -> None:
        """A settlement file names it: have it as the provider has it now. What is no dispute is left alone.

        Raises `RailSilent`.
        """
        told = await self._provider.fetch(psp_id)
        if told is not None and told.act not in OURS:
            await self.hear(told, by="file")

    async def hear(self, told: Told, *, by: By) -> None:
        """Apply what the provider says of a dispute; one about nothing of ours is for people."""
        async with pg.transaction(self._pool) as conn:
            news = await hear(conn, told, self._clock())
        if news:
            HEARD.labels(by).inc()
            log.info("a dispute was heard of", extra={"dispute": told.psp_id, "by": by})


async def hear(conn: pg.Connection, told: Told, now: datetime) -> bool:
    """Somebody disputes a payment: what is not being refunded can no longer be, until that ends in our favour.

    People are told when it is opened, and when the provider takes back how it ended. Whether it is news.
    """
    operation_id = None if told.act in OURS else card_effects.operation_id_of(told)
    operation = None if operation_id is None else await card_effects.locked(conn, operation_id)
    payment = None if operation is None else await CardStore(conn).payment(operation.payment_id)
    if operation is None or payment is None:
        return await card_effects.about_nobody(conn, told, now)
    store, state, dispute = DisputeStore(conn), told_state(told.standing), told.psp_id[:MAX_ID]
    known = first = await store.state(dispute)
    if known is None:
        await store.open(dispute, operation.id, operation.amount, now)
        await _case(conn, payment, operation, told, told.act, now)
        await _tell(conn, payment, operation, told, told.act, 1, now)
        known = DisputeState.OPEN
    if state is known:
        return first is None
    if known is DisputeState.OPEN:
        await store.end(dispute, state, now)
        await _tell(conn, payment, operation, told, state.lower(), 2, now)
    else:
        return await _case(conn, payment, operation, told, f"{told.act}-was-{known.lower()}", now)
    return True


async def _case(
    conn: pg.Connection, payment: CardPayment, operation: Operation, told: Told, what: str, now: datetime
) -> bool:
    return await open_case(
        conn, Subject.CARD, operation.id, f"{what}:{told.psp_id}"[:100], now, once=True,
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
