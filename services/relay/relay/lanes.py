"""The loops: carry, rest, carry again; back off when something does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time

from common.errors import Unavailable
from common.pg import Pool, unavailable

from relay import metrics, store
from relay.domain import SHARDS, Pace
from relay.service import Carrier

MEASURE_SECONDS = 5.0

log = logging.getLogger(__name__)


async def run_lane(carrier: Carrier, pace: Pace, stop: asyncio.Event) -> None:
    """Carry until told to stop; a batch under way is finished first."""
    failures = 0
    last_row = time.monotonic()
    while not stop.is_set():
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
            if carried.delivered:
                last_row = time.monotonic()
            if not failures:
                await _rest(stop, pace.rest(carried, quiet_for=time.monotonic() - last_row))
        if failures:
            await _rest(stop, pace.back_off(failures) * random.uniform(0.5, 1.0))  # noqa: S311


async def drain(carrier: Carrier, pool: Pool) -> int:
    """Carry until nothing moves any more. Returns how many rows are left.

    Raises `Unavailable` when the database or the broker does not answer.
    """
    while (await carrier.carry()).delivered:
        pass
    return sum(waiting.rows for waiting in await store.backlog(pool))


async def measure(pool: Pool, stop: asyncio.Event) -> None:
    """Keep the backlog gauges true until told to stop."""
    while not stop.is_set():
        try:
            with unavailable():
                waiting = {each.shard: each for each in await store.backlog(pool)}
        except Unavailable as error:
            log.warning("the backlog could not be measured: %s", error.detail)
        else:
            for shard in range(SHARDS):
                found = waiting.get(shard)
                metrics.BACKLOG_ROWS.labels(shard).set(found.rows if found else 0)
                metrics.BACKLOG_SECONDS.labels(shard).set(found.oldest_seconds if found else 0)
        await _rest(stop, MEASURE_SECONDS)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


def _report_failure(error: Unavailable, failures: int) -> None:
    """Say it when it begins; a long outage then shows in the metrics, not in a log line per attempt."""
    metrics.FAILURES.labels(error.slug).inc()
    log.log(logging.WARNING if failures == 1 else logging.DEBUG, "nothing carried: %s", error.detail)
