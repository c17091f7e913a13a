"""Whom the platform knows a player as: identity knows the name, and the attestor needs it."""

from datetime import UTC, datetime, timedelta

from common import pg

from payments.people import People
from payments.service.pace import Clock
from payments.store.deposits import DepositStore

BATCH = 100
EVER = datetime(2000, 1, 1, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)
"""Longer than any transaction that gives out a CLABE takes."""


class Holders:
    """Learns the names of players who have a CLABE: at first of all of them, then of those who are new; and asks anew for
    each claim, since people change their names."""

    def __init__(self, pool: pg.Pool, people: People, *, clock: Clock) -> None:
        self._pool = pool
        self._people = people
        self._clock = clock
        self._since = EVER

    async def learn(self) -> int:
        """Ask identity for the names that are missing; returns how many were learnt. Raises `Unavailable`, `RemoteProblem`."""
        now = self._clock()  # before identity is asked: what is claimed from here on is asked for again
        async with pg.transaction(self._pool, readonly=True) as conn:
            wanted = await DepositStore(conn).holders_wanted(self._since, BATCH)
        learnt = 0
        for player in wanted:
            holder = await self._people.holder(player)
            async with pg.transaction(self._pool) as conn:
                if holder is None:
                    # Who has never been known is asked for again when this process starts anew.
                    await DepositStore(conn).leave_holder(player, now)
                else:
                    await DepositStore(conn).keep_holder(player, holder, now)
                    learnt += 1
        if len(wanted) < BATCH:
            self._since = now - OVERLAP
        return learnt
