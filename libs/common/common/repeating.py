"""Work that no request waits for, done again and again beside a serving process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from common.progress import Progress

CANCELLED_AGAIN_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


@asynccontextmanager
async def repeating(
    name: str, work: Callable[[], Awaitable[object]], *, every_seconds: float
) -> AsyncIterator[None]:
    """Do the work again and again while the block runs. On leaving it the turn in hand is finished.

    A turn that fails is logged and the next one tries again: what is due is in the database.
    """
    stopping = asyncio.Event()
    progress = Progress(name, every_seconds=every_seconds)

    async def turns() -> None:
        while not stopping.is_set():
            try:
                await work()
                progress.done()
            except Exception:
                log.exception("%s failed; trying again", name)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), every_seconds)

    running = asyncio.create_task(turns(), name=name)
    try:
        yield
    finally:
        stopping.set()
        await running


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel a task until it has ended, however it does.

    Once is not enough for one that begins again after every failure: a library that is told to stop while its connection
    breaks may raise an error of its own in place of the cancellation, and the task then goes on for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=CANCELLED_AGAIN_SECONDS)
