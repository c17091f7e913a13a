"""Group commit: commands, alone or linked, gather while the last batch commits, with no artificial delay."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Sequence
from uuid import UUID

import asyncpg
from common.errors import DomainError
from common.pg import DatabaseUnavailable, Pool
from prometheus_client import Counter as MetricCounter
from prometheus_client import Gauge, Histogram

from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Group
from ledger.engine.batch import Answer, commit_batch
from ledger.engine.memory import Memory

log = logging.getLogger(__name__)

POSTED = MetricCounter("ledger_commands", "Commands answered", ["answer"])
BATCH_SIZE = Histogram("ledger_batch_size", "Commands in a batch", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
BATCH_SECONDS = Histogram("ledger_batch_seconds", "Seconds to commit a batch")
QUEUED = Gauge("ledger_queued_commands", "Commands waiting for a batch")

TRANSIENT = (DatabaseUnavailable, asyncpg.TransactionRollbackError)
"""What may be over in a moment. None of it tells whether the batch committed; its ids will."""


class Flight:
    """A group on its way to the journal, and whoever waits for its answers.

    Everyone waits for a future of their own: a caller that goes away takes nobody else's answer along.
    """

    __slots__ = ("_futures", "group")

    def __init__(self, group: Group) -> None:
        self.group = group
        self._futures: list[asyncio.Future[tuple[Answer, ...]]] = []

    def wait(self) -> asyncio.Future[tuple[Answer, ...]]:
        """The answers, in the group's order, once they are known."""
        future: asyncio.Future[tuple[Answer, ...]] = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        return future

    def land(self, answers: tuple[Answer, ...]) -> None:
        """Answer all who still wait."""
        for future in self._futures:
            if not future.done():
                future.set_result(answers)


class PostingEngine:
    """One ledger's queue and the task that commits it.

    max_batch     commands in one transaction, or one linked group if that has more
    max_queued    commands that may wait; beyond it `post` refuses with `Overloaded`
    patience_seconds  how long a batch is retried against a database that does not answer
    """

    def __init__(
        self,
        pool: Pool,
        ledger: int,
        chart: Chart,
        *,
        max_batch: int = 256,
        max_queued: int = 4_000,
        patience_seconds: float = 8.0,
    ) -> None:
        self._pool = pool
        self._memory = Memory(ledger, chart)
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._patience_seconds = patience_seconds
        self._waiting: deque[Flight] = deque()
        self._queued = 0
        self._flights: dict[UUID, Flight] = {}
        self._something = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="posting-engine")

    async def close(self) -> None:
        """Refuse new commands, finish the queued ones, stop."""
        self._closing = True
        self._something.set()
        if self._task:
            await self._task

    @property
    def chart(self) -> Chart:
        return self._memory.chart

    async def post(self, command: Command) -> Answer:
        """Answer `command`, once it is durable. See `post_groups` for what it raises."""
        group = (command,)
        self._admit([group])
        (answer,) = await self._enter(group)
        return answer

    async def post_groups(self, groups: Sequence[Group]) -> list[tuple[Answer, ...]]:
        """Answer independent `groups`, each once it is durable. They are taken in as a whole or not at
        all. A duplicate in flight joins the first one's answer.

        Raises:
            Overloaded: the queue is full; nothing was done.
            Draining: the ledger is shutting down; nothing was done.
        """
        self._admit(groups)
        return await asyncio.gather(*[self._enter(group) for group in groups])

    def _admit(self, groups: Sequence[Group]) -> None:
        """Refuse what there is no room for. What is in flight already needs none."""
        if not self._closing and self._queued + sum(map(len, groups)) <= self._max_queued:
            return
        fresh = [group for group in groups if not any(command.id in self._flights for command in group)]
        if fresh and self._closing:
            raise refusals.Draining("the ledger is shutting down", retry_after=2)
        if fresh and self._queued + sum(map(len, fresh)) > self._max_queued:
            raise refusals.Overloaded("too many commands are waiting", retry_after=1)

    def _enter(self, group: Group) -> Awaitable[tuple[Answer, ...]]:
        """Queue `group`, or join it when it is in flight already."""
        for command in group:
            if command.id in self._flights:
                return self._join(group, self._flights[command.id])
        flight = Flight(group)
        for command in group:
            self._flights[command.id] = flight
        self._waiting.append(flight)
        self._queued += len(group)
        self._something.set()
        return flight.wait()

    async def _join(self, group: Group, flight: Flight) -> tuple[Answer, ...]:
        if [each.fingerprint for each in flight.group] != [each.fingerprint for each in group]:
            reused = refusals.KeyReused("a key is in flight for another request")
            return tuple(Answer(reused) for _ in group)
        found = await flight.wait()
        return tuple(
            Answer(each.outcome, replayed=not isinstance(each.outcome, DomainError)) for each in found
        )

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._closing:
                    return
                self._something.clear()
                await self._something.wait()
                continue
            batch = self._next_batch()
            QUEUED.set(self._queued)
            BATCH_SIZE.observe(sum(len(flight.group) for flight in batch))
            with BATCH_SECONDS.time():
                await self._answer(batch)

    def _next_batch(self) -> list[Flight]:
        """As many groups as fit, the first one always."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].group)
        while self._waiting and size + len(self._waiting[0].group) <= self._max_batch:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].group)
        self._queued -= size
        return batch

    async def _answer(self, batch: Sequence[Flight]) -> None:
        groups = [flight.group for flight in batch]
        try:
            answers = await self._commit_patiently(groups)
        except TRANSIENT as gone:
            log.error("batch of %d given up: %r", len(batch), gone)
            answers = {command.id: Answer(_unavailable()) for group in groups for command in group}
        except Exception:
            log.exception("batch of %d failed", len(batch))
            answers = {command.id: Answer(_unavailable()) for group in groups for command in group}
        for kind, count in Counter(type(answer.outcome).__name__ for answer in answers.values()).items():
            POSTED.labels(kind).inc(count)
        for flight in batch:
            for command in flight.group:
                del self._flights[command.id]
            flight.land(tuple(answers[command.id] for command in flight.group))

    async def _commit_patiently(self, batch: Sequence[Group]) -> dict[UUID, Answer]:
        """Commit, retrying what is transient: a command that did commit is found by its id."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_seconds
        pause_seconds = 0.02
        while True:
            try:
                return await commit_batch(self._pool, self._memory, batch)
            except TRANSIENT as passing:
                if loop.time() + pause_seconds > deadline:
                    raise
                log.warning("batch of %d to be retried: %r", len(batch), passing)
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, 0.5)


def _unavailable() -> DomainError:
    return DatabaseUnavailable("the database does not answer; retry with the same key", retry_after=1)
