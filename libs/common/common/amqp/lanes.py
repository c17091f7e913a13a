"""Order within a key, concurrency across keys."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Lanes(Generic[Item]):
    """Works on items: those with one key one after the other, different keys at the same time.

    At most `concurrency` items are worked on at once. How many may wait is not bounded here: a
    consumer's prefetch does that. `work` must not raise.
    """

    def __init__(self, work: Callable[[Item], Awaitable[None]], *, concurrency: int) -> None:
        self._work = work
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting: dict[str, deque[Item]] = {}
        self._runners: set[asyncio.Task[None]] = set()

    def put(self, key: str, item: Item) -> None:
        """Queue an item behind the others of its key."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(item)
            return
        self._waiting[key] = deque((item,))
        runner = asyncio.create_task(self._run(key))
        self._runners.add(runner)  # the loop itself holds tasks only weakly
        runner.add_done_callback(self._runners.discard)

    async def join(self, timeout_seconds: float) -> bool:
        """Wait until nothing is left to do, at most that long; then cancel. True if all was done."""
        if self._runners:
            await asyncio.wait(self._runners, timeout=timeout_seconds)
        left = tuple(self._runners)
        for runner in left:
            runner.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return not left

    async def _run(self, key: str) -> None:
        waiting = self._waiting[key]
        try:
            while waiting:
                async with self._slots:
                    await self._work(waiting.popleft())
        finally:
            del self._waiting[key]
