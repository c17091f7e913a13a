"""Forgetting what is old, beside carrying: the relay is the one process that every outbox's database has.

The service's own login may delete nothing. What may go, and when, the database says (`common.forgetting`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from common.errors import Unavailable
from common.pg import Pool, unavailable
from common.progress import Progress

from relay import metrics, store

BATCH: Final = 500
"""Rows a transaction forgets: some milliseconds."""
PAUSE_SECONDS: Final = 0.1
"""Between full batches, so that whoever works on the same tables gets through."""
EVERY_SECONDS: Final = 60.0

log = logging.getLogger(__name__)


async def keep_forgetting(pool: Pool, stop: asyncio.Event) -> None:
    """Forget what is old, a batch at a time, until told to stop. What fails is tried again at the next look."""
    progress = Progress("forget", every_seconds=EVERY_SECONDS)
    while not stop.is_set():
        try:
            await forget(pool, stop)
            progress.done()
        except Unavailable as error:
            metrics.FAILURES.labels(error.slug).inc()
            log.warning("nothing could be forgotten: %s", error.detail)
        except Exception:
            metrics.FAILURES.labels("forgetting").inc()
            log.exception("forgetting failed; trying again")
        await _rest(stop, EVERY_SECONDS)


async def forget(pool: Pool, stop: asyncio.Event) -> None:
    """Forget all that may be forgotten now, table by table. Raises `Unavailable`."""
    with unavailable():
        tables = await store.forgettable(pool)
    for table in tables:
        while not stop.is_set():
            with unavailable():
                gone = await store.forget(pool, table, at_most=BATCH)
            metrics.FORGOTTEN.labels(table).inc(gone)
            if gone < BATCH:
                break
            await _rest(stop, PAUSE_SECONDS)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
