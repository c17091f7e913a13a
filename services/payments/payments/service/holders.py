"""Whom the platform knows a player as: identity knows the name, and the attestor needs it."""

from common import pg
from common.client import RemoteProblem, ServiceClient
from pydantic import BaseModel, ConfigDict

from payments.store.deposits import DepositStore

BATCH = 100
GONE = frozenset({401, 404})


class _Holder(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    full_name: str


class Holders:
    """Learns the names of players who have a CLABE."""

    def __init__(self, pool: pg.Pool, identity: ServiceClient) -> None:
        self._pool = pool
        self._identity = identity

    async def learn(self) -> int:
        """Ask identity for the names that are missing; returns how many were learnt. Raises `Unavailable`."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            wanted = await DepositStore(conn).holders_wanted(BATCH)
        learnt = 0
        for player in wanted:
            try:
                holder = await self._identity.get(f"/internal/holders/{player}", _Holder)
            except RemoteProblem as problem:
                if problem.status in GONE:
                    continue  # nobody by that id: its deposits wait, and the history says why
                raise
            async with pg.transaction(self._pool) as conn:
                await DepositStore(conn).keep_holder(player, holder.full_name)
            learnt += 1
        return learnt
