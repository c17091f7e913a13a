"""Whom the platform knows a player as: identity knows the name, and the attestor looks at no claim before it is known."""

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from common import pg
from common.client import RemoteProblem, Unreachable
from common.errors import Unavailable

from payments.domain.accounts import PlayerId
from payments.people import People
from payments.service.pace import Clock, Pace
from payments.store.deposits import DepositStore

BATCH: Final = 100
EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
OVERLAP: Final = timedelta(minutes=10)
"""Longer than any transaction that gives out a CLABE takes."""
REST: Final = timedelta(seconds=2)
"""How long a player is left alone for whom identity did not answer."""


class Holders:
    """Learns the names of players who have a CLABE: at first of all of them, then of those who are new; and asks anew for
    each claim, since people change their names.

    Each player is asked about apart from the others, and again until identity has answered. Who is in hand is known to
    this process alone: two of them may ask the same, which is harmless.
    """

    def __init__(self, pool: pg.Pool, people: People, *, pace: Pace, clock: Clock) -> None:
        self._pool = pool
        self._people = people
        self._pace = pace
        self._clock = clock
        self._since = EVER
        self._next: deque[PlayerId] = deque()
        self._left_alone: dict[PlayerId, datetime] = {}

    async def lease(self, limit: int) -> Sequence[PlayerId]:
        """Players whose names are missing: who was not answered for comes first, then who has waited longest."""
        now = self._clock()
        again = [player for player, until in self._left_alone.items() if until <= now]
        for player in again:
            del self._left_alone[player]
        self._next.extendleft(again)
        if not self._next:
            await self._look(now)
        leased = [self._next.popleft() for _ in range(min(limit, len(self._next)))]
        self._left_alone |= dict.fromkeys(leased, self._pace.lease_end(now))
        return leased

    async def _look(self, now: datetime) -> None:
        async with pg.transaction(self._pool, readonly=True) as conn:
            wanted = await DepositStore(conn).holders_wanted(self._since, tuple(self._left_alone), BATCH)
        self._next.extend(wanted)
        if len(wanted) < BATCH:
            self._since = now - OVERLAP

    async def learn(self, player: PlayerId) -> None:
        """Ask identity for the name. Raises `Unavailable` when identity, or the database, does not answer."""
        now = self._clock()  # before identity is asked: what is claimed from here on is asked for again
        try:
            holder = await self._people.holder(player)
        except (RemoteProblem, Unreachable) as silence:
            self._left_alone[player] = self._clock() + REST
            raise Unavailable(f"identity does not tell who {player} is: {silence}") from silence
        async with pg.transaction(self._pool) as conn:
            if holder is None:
                known = await DepositStore(conn).leave_holder(player, now)
            else:
                await DepositStore(conn).keep_holder(player, holder, now)
                known = True
        if known:  # who has never been known is asked for again after a lease
            self._left_alone.pop(player, None)
