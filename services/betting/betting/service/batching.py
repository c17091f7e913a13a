"""Group commit: what is asked for while one batch commits is the next batch. Nobody waits for a batch to fill up."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeAlias, TypeVar

from common.errors import DomainError
from common.pg import DatabaseUnavailable
from prometheus_client import Histogram

from betting.domain.errors import Overloaded

Command = TypeVar("Command")
Result = TypeVar("Result")
Commit: TypeAlias = Callable[[Sequence[Command]], Awaitable[Sequence[Result | Exception]]]
"""Commits a batch whole and gives each command's result, or what it is refused with. If it raises, nothing of the
batch was committed, or it is not known whether it was (`DatabaseUnavailable`)."""

MOST_AT_ONCE = 128
LONGEST_QUEUE = 4_096

_sizes = Histogram(
    "betting_batch_commands",
    "Commands committed together.",
    ("queue",),
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
log = logging.getLogger(__name__)


class Batcher(Generic[Command, Result]):
    """Commits commands in the order they came, one batch at a time."""

    def __init__(
        self, name: str, commit: Commit[Command, Result], *, turn: asyncio.Lock | None = None
    ) -> None:
        """Batchers that share a `turn` commit one after the other: what comes meanwhile is one batch, not several."""
        self._name = name
        self._commit = commit
        self._turn = turn or asyncio.Lock()
        self._waiting: deque[tuple[Command, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        return self._running is None

    async def submit(self, command: Command) -> Result:
        """The command's result, once its batch has been committed. It happens even if nobody waits any more.

        Raises Overloaded, what the command is refused with, or DatabaseUnavailable: then it may have happened.
        """
        if len(self._waiting) >= LONGEST_QUEUE:
            raise Overloaded("too many offers at once; try again in a moment", retry_after=1)
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, done))
        if self._running is None:
            self._begin()
        return await done

    async def drained(self) -> None:
        """Wait until nothing is under way."""
        while self._running is not None:
            await asyncio.wait((self._running,))

    async def _run(self) -> None:
        try:
            while self._waiting:
                async with self._turn:
                    await self._next()
        finally:
            self._running = None
            if self._waiting:  # interrupted: the next batch goes on without what this one lost
                self._begin()

    async def _next(self) -> None:
        size = min(len(self._waiting), MOST_AT_ONCE)
        batch = [self._waiting.popleft() for _ in range(size)]
        _sizes.labels(self._name).observe(size)
        try:
            await self._commit_or_fail(batch)
        finally:
            _fail(batch, DatabaseUnavailable("the work was interrupted", retry_after=1))

    def _begin(self) -> None:
        """In a context of its own: a batch is of many requests, and none of their traces is its."""
        self._running = asyncio.create_task(self._run(), name=f"batches of {self._name}", context=Context())

    async def _commit_or_fail(self, batch: Sequence[tuple[Command, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._commit([command for command, _ in batch])
        except DatabaseUnavailable as error:
            _fail(batch, error)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            if not isinstance(error, DomainError):
                log.exception("a batch of %d was refused by the database; going one by one", len(batch))
            for one in batch:
                await self._commit_or_fail((one,))
        else:
            for (_, done), result in zip(batch, results, strict=True):
                if done.done():
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)


def _fail(batch: Sequence[tuple[Command, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(error)
