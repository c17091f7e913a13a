"""Whom the platform knows a player as: identity knows the name, and the attestor needs it."""

from datetime import UTC, datetime, timedelta

from common import pg
from common.client import RemoteProblem, ServiceClient
from pydantic import BaseModel, ConfigDict

from payments.service.pace import Clock
from payments.store.deposits import DepositStore

BATCH = 100
EVER = datetime(2000, 1, 1, tzinfo=UTC)
OVERLAP = timedelta(minutes=10)
"""Longer than any transaction that gives out a CLABE takes."""
GONE = frozenset({401, 404})


class _Holder(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    full_name: str


class Holders:
    """Learns the names of players who have a CLABE: at first of all of them, then of those who are new."""

    def __init__(self, pool: pg.Pool, identity: ServiceClient, *, clock: Clock) -> None:
        self._pool = pool
        self._identity = identity
        self._clock = clock
        self._since = EVER

    async def learn(self) -> int:
        """Ask identity for the names that are missing; returns how many were learnt. Raises `Unavailable`."""
        now = self._clock()
        async with pg.transaction(self._pool, readonly=True) as conn:
            wanted = await DepositStore(conn).holders_wanted(self._since, BATCH)
        learnt = 0
        for player in wanted:
            try:
                holder = await self._identity.get(f"/internal/holders/{player}", _Holder)
            except RemoteProblem as problem:
                if problem.status in GONE:
                    continue  # nobody by that id; asked for again when this process starts anew
                raise
            async with pg.transaction(self._pool) as conn:
                await DepositStore(conn).keep_holder(player, holder.full_name)
            learnt += 1
        if len(wanted) < BATCH:
            self._since = now - OVERLAP
        return learnt
