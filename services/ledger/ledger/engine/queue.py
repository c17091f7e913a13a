"""Group commit: commands, alone or linked, gather while the last batch commits, with no artificial delay."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Sequence
from uuid import UUID

import asyncpg
from common.errors import DomainError
from common.pg import DatabaseUnavailable, Pool
from prometheus_client import Counter as MetricCounter
from prometheus_client import Gauge, Histogram

from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Group
from ledger.domain.decide import Decision
from ledger.engine.batch import Answer, commit_batch
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


Answers = tuple[Answer, ...]
"""One group's, in its order."""


class Party:
    """Whoever waits for the answers of some groups: one future for all of them. It is their own, so a caller that
    goes away takes nobody else's answers along."""

    __slots__ = ("_answers", "_left", "arrived")

    def __init__(self, groups: int) -> None:
        self._answers: list[Answers] = [()] * groups
        self._left = groups
        self.arrived: asyncio.Future[list[Answers]] = asyncio.get_running_loop().create_future()

    def tell(self, place: int, answers: Answers) -> None:
        """The answers of the group at `place`."""
        self._answers[place] = answers
        self._left -= 1
        if not self._left and not self.arrived.done():
            self.arrived.set_result(self._answers)


class Flight:
    """A group on its way to the journal, and the parties that wait for it: its own and those that came later."""

    __slots__ = ("_joined", "_party", "_place", "group", "since")

    def __init__(self, group: Group, party: Party, place: int, since: float) -> None:
        self.group = group
        self.since = since
        self._party = party
        self._place = place
        self._joined: list[tuple[Party, int]] = []

    def join(self, group: Group, party: Party, place: int) -> None:
        """Wait as well, if `group` is the same request; one that only has a key in common is told so."""
        if [each.fingerprint for each in self.group] == [each.fingerprint for each in group]:
            self._joined.append((party, place))
            return
        reused = refusals.KeyReused("a key is in flight for another request")
        party.tell(place, tuple(Answer(reused) for _ in group))

    def land(self, answers: Answers) -> None:
        """Answer all who wait."""
        self._party.tell(self._place, answers)
        for party, place in self._joined:
            party.tell(
                place,
                tuple(
                    Answer(each.outcome, replayed=not isinstance(each.outcome, DomainError))
                    for each in answers
                ),
            )


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
        flight = Flight(group, party, place, asyncio.get_running_loop().time())
        for command in group:
            self._flights[command.id] = flight
        self._queued += len(group)
        # What has to wait is not overtaken: nothing is drafted as long as anything waits.
        if not self._waiting and len(self._drafted) < self._max_batch and self._memory.draft(group):
            self._drafted.append(flight)
        else:
            self._waiting.append(flight)

    async def _run(self) -> None:
        while True:
            if not self._waiting and not self._drafted:
                if self._closing:
                    return
                self._something.clear()
                await self._something.wait()
                continue
            batch, drafts = self._next_batch()
            QUEUED.set(self._queued)
            BATCH_SIZE.observe(sum(len(flight.group) for flight in batch))
            with BATCH_SECONDS.time():
                await self._answer(batch, drafts)

    def _next_batch(self) -> tuple[list[Flight], list[Decision]]:
        """What was drafted and as many groups as fit besides, the first one always. With the drafts."""
        drafts = self._memory.take_drafts()
        if not drafts:
            self._waiting.extendleft(reversed(self._drafted))
            self._drafted = []
        batch, self._drafted = self._drafted or [self._waiting.popleft()], []
        self._late = asyncio.get_running_loop().time() - batch[0].since > self._max_wait_seconds
        size = sum(len(flight.group) for flight in batch)
        while self._waiting and size + len(self._waiting[0].group) <= self._max_batch:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].group)
        self._queued -= size
        return batch, drafts

    async def _answer(self, batch: Sequence[Flight], drafts: Sequence[Decision]) -> None:
        groups = [flight.group for flight in batch]
        try:
            answers = await self._commit_patiently(groups, drafts)
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

    async def _commit_patiently(
        self, batch: Sequence[Group], drafts: Sequence[Decision]
    ) -> dict[UUID, Answer]:
        """Commit, retrying what is transient: a command that did commit is found by its id."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience_seconds
        pause_seconds = 0.02
        while True:
            try:
                return await commit_batch(self._pool, self._memory, batch, drafts)
            except TRANSIENT as passing:
                drafts = ()  # memory has been forgotten
                if loop.time() + pause_seconds > deadline:
                    raise
                log.warning("batch of %d to be retried: %r", len(batch), passing)
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, 0.5)


def _overloaded() -> DomainError:
    return refusals.Overloaded("too many commands are waiting", retry_after=1)


def _unavailable() -> DomainError:
    return DatabaseUnavailable("the database does not answer; retry with the same key", retry_after=1)
