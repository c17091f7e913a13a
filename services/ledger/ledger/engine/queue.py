"""Group commit: commands, alone or linked, gather while the last batch commits, with no artificial delay."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg
from common.errors import DomainError
from common.pg import DatabaseUnavailable, Pool
from prometheus_client import Counter as MetricCounter
from prometheus_client import Gauge, Histogram

from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Group
from ledger.engine.batch import Answer, Answered, from_memory, under_lock, write
from ledger.engine.flight import Answers, Flight, Party
from ledger.engine.memory import Memory

log = logging.getLogger(__name__)

POSTED = MetricCounter("ledger_commands", "Commands answered", ["answer"])
BATCH_SIZE = Histogram(
    "ledger_batch_size", "Commands in a batch", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
BATCH_SECONDS = Histogram("ledger_batch_seconds", "Seconds to commit a batch")
TURNED_AWAY = MetricCounter("ledger_turned_away", "Requests refused at the door, unread, for want of room")
QUEUED = Gauge("ledger_queued_commands", "Commands waiting for a batch")

TRANSIENT = (DatabaseUnavailable, asyncpg.TransactionRollbackError)
"""What may be over in a moment. None of it tells whether the batch committed; its ids will."""

AHEAD_FROM = 64
"""So many drafts are sent while the batch they were decided on is still being written: see ADR 0007. Fewer wait, since every
batch costs PostgreSQL a millisecond however small it is."""


class Batch(NamedTuple):
    """Groups that go to the journal together. `begun` tells what memory could decide of them, once that is durable."""

    flights: list[Flight]
    begun: Awaitable[Answered]


class PostingEngine:
    """One ledger's queue and the task that commits it.

    max_batch     commands in one transaction, or one linked group if that has more
    max_queued    commands that may wait; beyond it `post` refuses with `Overloaded`
    max_wait_seconds  when those now taken have waited longer, who comes to the door is refused, unless the next
                      batch has room for them
    patience_seconds  how long a batch is retried against a database that does not answer
    """

    def __init__(
        self,
        pool: Pool,
        ledger: int,
        chart: Chart,
        *,
        max_batch: int = 512,
        max_queued: int = 4_000,
        max_wait_seconds: float = 1.0,
        patience_seconds: float = 8.0,
    ) -> None:
        self._pool = pool
        self._memory = Memory(ledger, chart)
        self._max_batch = max_batch
        self._max_queued = max_queued
        self._max_wait_seconds = max_wait_seconds
        self._patience_seconds = patience_seconds
        self._late = False
        self._waiting: deque[Flight] = deque()
        self._drafted: list[Flight] = []
        self._ahead: Batch | None = None
        self._queued = 0
        self._flights: dict[UUID, Flight] = {}
        self._something = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="posting-engine")
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Refuse new commands, finish the queued ones, stop."""
        self._closing = True
        self._something.set()
        if self._task:
            await asyncio.wait((self._task,))

    def _ended(self, run: asyncio.Task[None]) -> None:
        """If a defect has ended the loop, whoever waits is told to ask again with the same key, and it begins anew with
        nothing remembered. Else they would wait for ever."""
        if run.cancelled() or (defect := run.exception()) is None:
            return
        log.critical("the posting engine stumbled and begins anew", exc_info=defect)
        flights = set(self._flights.values())
        self._flights.clear()
        self._waiting.clear()
        self._drafted = []
        self._ahead = None
        self._queued = 0
        self._memory.forget()
        for flight in flights:
            flight.land(tuple(Answer(_unavailable()) for _ in flight.group))
        self.start()

    @property
    def chart(self) -> Chart:
        return self._memory.chart

    def expect_room(self) -> None:
        """Refuse at the door, before a request has cost anything, what would only wait in vain.

        Facts from the broker do not come this way: nobody waits for their answer, and their number is bounded.

        Raises:
            Overloaded: the queue is full, or so long that what it takes in has to wait too long.
        """
        if self._queued >= self._max_queued or (self._late and self._queued >= self._max_batch):
            TURNED_AWAY.inc()
            raise _overloaded()

    async def post(self, command: Command) -> Answer:
        """Answer `command`, once it is durable. See `post_groups` for what it raises."""
        ((answer,),) = await self.post_groups(((command,),))
        return answer

    async def post_groups(self, groups: Sequence[Group]) -> list[Answers]:
        """Answer independent `groups`, each once it is durable. They are taken in as a whole or not at
        all. A duplicate in flight joins the first one's answer.

        Raises:
            Overloaded: the queue is full; nothing was done.
            Draining: the ledger is shutting down; nothing was done.
        """
        self._admit(groups)
        if not groups:
            return []
        party = Party(len(groups))
        for place, group in enumerate(groups):
            self._enter(group, party, place)
        self._send_ahead()
        self._something.set()
        return await party.arrived

    def _admit(self, groups: Sequence[Group]) -> None:
        """Refuse what there is no room for. What is in flight already needs none."""
        if not self._closing and self._queued + sum(map(len, groups)) <= self._max_queued:
            return
        fresh = [group for group in groups if not any(command.id in self._flights for command in group)]
        if fresh and self._closing:
            raise refusals.Draining("the ledger is shutting down", retry_after=2)
        if fresh and self._queued + sum(map(len, fresh)) > self._max_queued:
            raise _overloaded()

    def _enter(self, group: Group, party: Party, place: int) -> None:
        """Queue `group`, or join it when it is in flight already."""
        for command in group:
            if command.id in self._flights:
                self._flights[command.id].join(group, party, place)
                return
        # What has to wait is not overtaken: nothing is drafted as long as anything waits.
        self._draft_waiting()
        flight = Flight(group, party, place, asyncio.get_running_loop().time())
        if not self._waiting and len(self._drafted) < self._max_batch and self._memory.draft(group):
            self._drafted.append(flight)
        else:
            self._waiting.append(flight)
        for command in group:
            self._flights[command.id] = flight
        self._queued += len(group)

    def _send_ahead(self) -> None:
        """Send what was drafted after the batch that is being written, if it is worth a batch: it waits for the ledger's head
        in PostgreSQL, and is written as soon as that one is, however busy this process is at that moment."""
        if self._ahead is None and len(self._drafted) >= AHEAD_FROM and (sent := self._memory.send_drafts()):
            flights, self._drafted = self._drafted, []
            self._count(flights)
            self._ahead = Batch(flights, asyncio.create_task(write(self._pool, self._memory, sent)))

    def _draft_waiting(self) -> None:
        """Draft what could not be when it came, for want of room or because nothing was being written: in its order, up to
        what has to wait for a batch of its own."""
        self._take_back_void()
        while (
            self._waiting
            and len(self._drafted) < self._max_batch
            and self._memory.draft(self._waiting[0].group)
        ):
            self._drafted.append(self._waiting.popleft())

    def _take_back_void(self) -> None:
        """Drafts of a memory that has been forgotten are none any more: those they were of wait again, first in line."""
        if self._drafted and not self._memory.has_drafts:
            self._waiting.extendleft(reversed(self._drafted))
            self._drafted = []

    async def _run(self) -> None:
        while True:
            if not self._waiting and not self._drafted and not self._ahead:
                if self._closing:
                    return
                self._something.clear()
                await self._something.wait()
                continue
            batch, self._ahead = self._ahead or self._next_batch(), None
            self._draft_waiting()
            self._send_ahead()
            self._draft_waiting()
            QUEUED.set(self._queued)
            with BATCH_SECONDS.time():
                await self._answer(batch)

    def _next_batch(self) -> Batch:
        """What was drafted and as many groups as fit besides, the first one always."""
        self._take_back_void()
        drafts = self._memory.take_drafts()
        flights, self._drafted = self._drafted or [self._waiting.popleft()], []
        size = sum(len(flight.group) for flight in flights)
        while self._waiting and size + len(self._waiting[0].group) <= self._max_batch:
            flights.append(self._waiting.popleft())
            size += len(flights[-1].group)
        self._count(flights)
        return Batch(flights, from_memory(self._pool, self._memory, _groups(flights), drafts))

    def _count(self, flights: Sequence[Flight]) -> None:
        """These are queued no longer."""
        size = sum(len(flight.group) for flight in flights)
        self._queued -= size
        self._late = asyncio.get_running_loop().time() - flights[0].since > self._max_wait_seconds
        BATCH_SIZE.observe(size)

    async def _answer(self, batch: Batch) -> None:
        left = list(batch.flights)
        try:
            await self._commit_patiently(left, batch.begun)
        except TRANSIENT as gone:
            log.error("batch of %d given up, %d of it unanswered: %r", len(batch.flights), len(left), gone)
        except Exception:
            log.exception("batch of %d failed, %d of it unanswered", len(batch.flights), len(left))
        self._land(left, {command.id: Answer(_unavailable()) for flight in left for command in flight.group})

    async def _commit_patiently(self, left: list[Flight], begun: Awaitable[Answered]) -> None:
        """Commit and answer all of `left`, retrying what is transient: a command that did commit is found by its id.
        What memory could decide is answered at once, and does not wait for the rest."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_seconds
        pause_seconds = 0.02
        while True:
            try:
                self._land(left, await begun)
                if left:
                    self._land(left, await under_lock(self._pool, self._memory, _groups(left)))
                return
            except TRANSIENT as passing:
                if loop.time() + pause_seconds > deadline:
                    raise
                log.warning("batch of %d to be retried: %r", len(left), passing)
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, 0.5)
                begun = from_memory(self._pool, self._memory, _groups(left))

    def _land(self, left: list[Flight], answers: Answered) -> None:
        """Answer those of `left` whose answers are there, and take them out of it."""
        for kind, count in Counter(type(answer.outcome).__name__ for answer in answers.values()).items():
            POSTED.labels(kind).inc(count)
        landing = [flight for flight in left if flight.group[0].id in answers]
        left[:] = [flight for flight in left if flight.group[0].id not in answers]
        for flight in landing:
            for command in flight.group:
                del self._flights[command.id]
            flight.land(tuple(answers[command.id] for command in flight.group))


def _groups(flights: Sequence[Flight]) -> list[Group]:
    return [flight.group for flight in flights]


def _overloaded() -> DomainError:
    return refusals.Overloaded("too many commands are waiting", retry_after=1)


def _unavailable() -> DomainError:
    return DatabaseUnavailable("the database does not answer; retry with the same key", retry_after=1)
