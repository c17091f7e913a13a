"""Disputes in the books: what files took is contested, then the provider's debt again or the house's loss; and what is lost is
taken of its player, as far as they have it.

What is due is asked for again and again, whoever of webhook, list, files and ledger told of it first: the database says what is.
"""

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from common import pg
from common.client import RemoteProblem, Unreachable

from payments.domain.cases import Subject
from payments.domain.disputes import Recovery, Shortfall
from payments.entries import dispute_command
from payments.events import command_ledger
from payments.ledger import Ledger
from payments.service.cases import open_case
from payments.service.pace import Clock
from payments.store.dispute_entries import DisputeEntryStore
from payments.store.history import Answer

log = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Entries that one turn asks for."""
RECOVERS: Final = timedelta(days=180)
"""So long after it was lost is what its player has taken for it. Then it stays the house's loss."""
REFUSED_STATUS: Final = 422


class DisputeBooks:
    """Has the ledger book what disputes do."""

    def __init__(self, pool: pg.Pool, ledger: Ledger, *, clock: Clock) -> None:
        self._pool = pool
        self._ledger = ledger
        self._clock = clock

    async def look(self) -> int:
        """Ask the ledger for what is due by now, and for what was lost and its player has; returns how much was asked for."""
        return await self._book_due() + await self._recover()

    async def _book_due(self) -> int:
        now = self._clock()
        async with pg.transaction(self._pool, readonly=True) as conn:
            due = await DisputeEntryStore(conn).due(AT_ONCE)
        asked = 0
        for entry in due:
            async with pg.transaction(self._pool) as conn:
                if await DisputeEntryStore(conn).ask(entry, now):
                    await command_ledger(conn, dispute_command(entry), 1, now)
                    asked += 1
        return asked

    async def hear_booked(self, conn: pg.Connection, entry_id: UUID) -> None:
        """The ledger has booked a step. In the transaction of the inbox."""
        await DisputeEntryStore(conn).booked(entry_id, self._clock())

    async def hear_refused(self, conn: pg.Connection, entry_id: UUID, problem: Answer) -> None:
        """The ledger refused to book a fact: a defect, for a person."""
        log.error("the ledger refused a fact", extra={"dispute_entry": str(entry_id), **problem})
        operation_id = await DisputeEntryStore(conn).operation_of(entry_id)
        if operation_id is not None:
            now = self._clock()
            await open_case(conn, Subject.CARD, operation_id, "refused-by-ledger", now, evidence=problem)

    async def _recover(self) -> int:
        async with pg.transaction(self._pool, readonly=True) as conn:
            shortfalls = await DisputeEntryStore(conn).shortfalls(self._clock() - RECOVERS)
        asked = 0
        for shortfall in shortfalls:
            try:
                asked += await self._recover_of(shortfall)
            except (
                RemoteProblem,
                Unreachable,
            ) as problem:  # the others do not wait for it; it is asked for again
                log.warning(
                    "a recovery waits", extra={"dispute": shortfall.dispute_id, "reason": str(problem)}
                )
        return asked

    async def _recover_of(self, shortfall: Shortfall) -> bool:
        """Take what there is; what was asked for before first, since it may have been booked or not."""
        recovery = shortfall.asked
        if recovery is None:
            has = await self._ledger.available(shortfall.player, shortfall.left.currency)
            amount = min(shortfall.left, has)
            if not amount.is_positive:
                return False
            recovery = Recovery(uuid4(), amount)
            async with pg.transaction(self._pool) as conn:
                if not await DisputeEntryStore(conn).ask_back(shortfall, recovery, self._clock()):
                    return False
        booked = True
        try:
            await self._ledger.recover(shortfall, recovery)
        except RemoteProblem as problem:
            if problem.status != REFUSED_STATUS:
                raise
            booked = False  # they have less by now
        async with pg.transaction(self._pool) as conn:
            await DisputeEntryStore(conn).end_recovery(recovery, booked=booked)
        return True
