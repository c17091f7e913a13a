"""The loops: carry, rest, carry again; back off when something does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Sequence

from common.errors import Unavailable
from common.pg import Pool, unavailable
from common.progress import Progress

from relay import metrics, store
from relay.domain import SHARDS, Backlog, Carried, Pace
from relay.service import FENCE_SECONDS, Carrier

WATCH_SECONDS = 2.0

log = logging.getLogger(__name__)


class Traffic:
    """Whether there is more than one lane can carry, as all lanes of a relay see it.

    One lane scouts: it looks all the time. The others sleep until it finds more than it can carry.
    """

    def __init__(self) -> None:
        self._much = asyncio.Event()

    def note(self, carried: Carried) -> None:
        """Remember what a batch showed."""
        if carried.delivered and carried.more:
            self._much.set()

    async def much(self, stop: asyncio.Event) -> None:
        """Wait until there is more to do than the scout can, or until told to stop."""
        self._much.clear()
        told = [asyncio.create_task(each.wait()) for each in (self._much, stop)]
        try:
            await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in told:
                task.cancel()


async def run_lane(
    carrier: Carrier, pace: Pace, traffic: Traffic, stop: asyncio.Event, *, scout: bool
) -> None:
    """Carry until told to stop; a batch under way is finished first."""
    failures = 0
    # The others sleep for as long as one is enough.
    progress = Progress("carry") if scout else None
    while not stop.is_set():
        began = time.monotonic()
        try:
            carried = await carrier.carry()
        except Unavailable as error:
            failures += 1
            _report_failure(error, failures)
        except Exception:
            failures += 1
            log.exception("a batch failed in an unforeseen way")
            metrics.FAILURES.labels("unforeseen").inc()
        else:
            # Silence of the broker is a failure too, even if it confirmed a part.
            failures = failures + 1 if carried.unconfirmed else 0
            traffic.note(carried)
            if progress is not None and not failures:
                progress.done()
            if not failures and not (carried.more and carried.delivered):
                if scout:
                    worked = time.monotonic() - began
                    await _rest(stop, pace.rest(rows=carried.delivered, worked=worked))
                else:
                    await traffic.much(stop)
        if failures:
            await _rest(stop, pace.back_off(failures) * random.uniform(0.5, 1.0))  # noqa: S311


async def drain(carrier: Carrier, pool: Pool) -> int:
    """Carry until nothing moves any more. Returns how many rows are left.

    Raises `Unavailable` when the database or the broker does not answer.
    """
    while (await carrier.carry()).delivered:
        pass
    return sum(waiting.rows for waiting in await store.backlog(pool))


class Lag:
    """What waits in the outbox, as last measured."""

    def __init__(self) -> None:
        self.rows = 0
        self.oldest_seconds = 0.0

    def note(self, waiting: Sequence[Backlog]) -> None:
        """Take over a measurement, here and in the gauges."""
        self.rows = sum(each.rows for each in waiting)
        self.oldest_seconds = max((each.oldest_seconds for each in waiting), default=0.0)
        by_shard = {each.shard: each for each in waiting}
        for shard in range(SHARDS):
            found = by_shard.get(shard)
            metrics.BACKLOG_ROWS.labels(shard).set(found.rows if found else 0)
            metrics.BACKLOG_SECONDS.labels(shard).set(found.oldest_seconds if found else 0)


async def keep_watch(pool: Pool, lag: Lag, stop: asyncio.Event) -> None:
    """Keep the measured lag true, and end whoever holds shards for too long, until told to stop."""
    progress = Progress("watch the outbox", every_seconds=WATCH_SECONDS)
    while not stop.is_set():
        try:
            with unavailable():
                lag.note(await store.backlog(pool))
                ended = await store.end_frozen(pool, older_than_seconds=FENCE_SECONDS)
        except Unavailable as error:
            log.warning("nobody could look at the outbox: %s", error.detail)
        else:
            progress.done()
            if ended:
                log.warning("ended %d transactions of a relay that does not move", ended)
                metrics.FENCED.inc(ended)
        await _rest(stop, WATCH_SECONDS)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


def _report_failure(error: Unavailable, failures: int) -> None:
    """Say it when it begins; a long outage then shows in the metrics, not in a log line per attempt."""
    metrics.FAILURES.labels(error.slug).inc()
    log.log(logging.WARNING if failures == 1 else logging.DEBUG, "nothing carried: %s", error.detail)
