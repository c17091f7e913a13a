"""The read replica: how far behind it is, and who may be answered from it.

The lag is measured against the primary's own log position, sampled beside the time: the replica is as old as the
newest sample it has replayed. So an idle ledger has no lag, and a replica that lost its primary grows old instead of
claiming to be up to date because it has replayed all it ever received.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeVar

import asyncpg
from common.errors import NotFound, Unavailable
from common.pg import Connection, DatabaseUnavailable, Pool, transaction, unavailable
from prometheus_client import Counter, Gauge

from ledger.store.moments import head

log = logging.getLogger(__name__)

What = TypeVar("What")

LAG = Gauge("ledger_replica_lag_seconds", "Age of what the read replica shows")
REPORTS = Counter("ledger_reports", "Reports by where they were read", ["source"])

SAMPLE_SECONDS = 0.25
SAMPLES = 4_000
"""A thousand seconds: a replica further behind than that is simply that far behind."""
PATIENCE_SECONDS = 1.0
"""How long a page waits for the replica before it is read from the books, and how long the replica may owe a measurement
before nobody asks it anything: one that is frozen refuses nothing and answers nothing."""


class ReplicaBehind(Unavailable):
    slug, title = "replica-behind", "The read replica is too far behind"


@dataclass(frozen=True, slots=True)
class Source:
    """Where an answer was read, and how old it may be."""

    name: Literal["primary", "replica"]
    lag_seconds: float


PRIMARY = Source("primary", 0.0)


class Replica:
    """Watches a replica's lag.

    max_lag_seconds   beyond it nothing is answered from the replica
    """

    def __init__(self, pool: Pool, primary: Pool, *, max_lag_seconds: float) -> None:
        self.pool = pool
        self.max_lag_seconds = max_lag_seconds
        self._primary = primary
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES)
        self._fresh_at: float | None = None
        self._asked_at: float | None = None
        LAG.set_function(lambda: self.lag_seconds)

    @property
    def lag_seconds(self) -> float:
        """Seconds since the replica showed everything the primary had; infinite until it once did."""
        if self._fresh_at is None:
            return float("inf")
        return max(0.0, time.monotonic() - self._fresh_at)

    @property
    def is_fresh(self) -> bool:
        """Whether it may be asked: it has come far enough, and owes no measurement for too long."""
        silent = self._asked_at is not None and time.monotonic() - self._asked_at > PATIENCE_SECONDS
        return self.lag_seconds <= self.max_lag_seconds and not silent

    async def watch(self) -> None:
        """Measure for ever; cancel it to end."""
        while True:
            try:
                await self.measure()
            except (DatabaseUnavailable, asyncpg.PostgresError) as gone:
                log.debug("no measurement of the replica: %r", gone)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def measure(self) -> None:
        """Take one sample. Raises `DatabaseUnavailable` when either server does not answer."""
        now = time.monotonic()
        with unavailable():
            written = await self._primary.fetchval("SELECT (pg_current_wal_lsn() - '0/0')::bigint", timeout=2)
            self._samples.append((now, written))
            if self._asked_at is None:
                self._asked_at = now
            replayed = await self.pool.fetchval(
                "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint WHERE pg_is_in_recovery()", timeout=2
            )
        self._asked_at = None
        while replayed is not None and self._samples and self._samples[0][1] <= replayed:
            self._fresh_at = self._samples.popleft()[0]


class Sources:
    """Where to read: the books themselves, or a replica of them when there is one and it is fresh."""

    def __init__(self, primary: Pool, replica: Replica | None = None) -> None:
        self.primary = primary
        self.replica = replica
        self._asked: set[asyncio.Task[Any]] = set()

    def standing(self) -> dict[str, object]:
        """For `/readyz`: a replica that is behind makes reports wait, not this process unready."""
        if self.replica is None:
            return {"configured": False}
        lag = self.replica.lag_seconds
        return {
            "configured": True,
            "fresh": self.replica.is_fresh,
            "lag_seconds": round(lag, 3) if isfinite(lag) else None,
            "max_lag_seconds": self.replica.max_lag_seconds,
        }

    async def read(
        self,
        ledger: int,
        read: Callable[[Connection], Awaitable[What]],
        *,
        needs: int = 0,
        heavy: bool = False,
    ) -> tuple[What, Source]:
        """What `read` finds in a snapshot of the books that has reached the sequence `needs`, and where.

        From the replica if it is fresh. If not, a page is read from the primary; a `heavy` report never is when there is
        a replica, so that reading cannot slow posting down. A replica that is a moment behind cannot know that something
        does not exist, and one that goes away or freezes answers nothing: a page is then read from the books themselves. A
        heavy report has said how far the replica must have come.

        Raises:
            NotFound: there is no such thing.
            ReplicaBehind: a heavy report, and the replica is too far behind or does not answer.
        """
        fresh = self.replica if self.replica is not None and self.replica.is_fresh else None
        if heavy and self.replica is not None:
            found = await _from(fresh, ledger, read, needs) if fresh else None
            if found is None:
                raise ReplicaBehind("the reports' replica is too far behind", retry_after=5)
            return found
        if fresh:
            found = await self._soon(_from(fresh, ledger, read, needs))
            if found is not None:
                return found
        async with _snapshot(self.primary) as connection:
            REPORTS.labels("primary").inc()
            return await read(connection), PRIMARY

    async def _soon(
        self, asked: Coroutine[None, None, tuple[What, Source] | None]
    ) -> tuple[What, Source] | None:
        """What the replica answers, if it does soon. Nobody waits until it has been given up: to tell a frozen server that
        its answer is not wanted any more takes as long as waiting for it."""
        task = asyncio.create_task(asked, name="replica-page")
        self._asked.add(task)
        task.add_done_callback(self._answered)
        try:
            await asyncio.wait((task,), timeout=PATIENCE_SECONDS)
        finally:
            if not task.done():
                task.cancel()
        try:
            return task.result() if task.done() else None
        except (NotFound, DatabaseUnavailable):
            return None

    def _answered(self, asked: asyncio.Task[Any]) -> None:
        self._asked.discard(asked)
        if not asked.cancelled():
            asked.exception()  # one that was given up may still fail: nobody is waiting to hear of it


async def _from(
    replica: Replica, ledger: int, read: Callable[[Connection], Awaitable[What]], needs: int
) -> tuple[What, Source] | None:
    """What `read` finds in the replica; None if that cannot be reached or has not come to `needs`."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(_snapshot(replica.pool))
            reached = needs == 0 or await head(connection, ledger) >= needs
        except DatabaseUnavailable:
            return None
        if not reached:
            return None
        REPORTS.labels("replica").inc()
        return await read(connection), Source("replica", replica.lag_seconds)


@asynccontextmanager
async def _snapshot(pool: Pool) -> AsyncIterator[Connection]:
    async with transaction(pool, isolation="repeatable_read", readonly=True) as connection:
        yield connection
