"""What the relay carries, and the rules of carrying: order within an aggregate, and patience."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

SHARDS: Final = 16


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an outbox: a message, and where it must go."""

    shard: int
    id: int
    event_id: UUID
    exchange: str
    routing_key: str
    aggregate: str
    body: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in one shard, and how long its oldest row has waited."""

    shard: int
    rows: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of one batch: rows the broker has, rows it refused, rows it said nothing about."""

    delivered: int = 0
    refused: int = 0
    unconfirmed: int = 0
    more: bool = False
    """Whether it took all that fitted of a shard, so that more may wait there."""


def not_behind(stuck: frozenset[str], rows: Iterable[Row]) -> list[Row]:
    """The rows that may still be sent: nothing overtakes within an aggregate that is stuck."""
    return [row for row in rows if row.aggregate not in stuck]


def sent_before(rows: Iterable[Row], marks: Mapping[int, int]) -> set[int]:
    """The ids of the rows that somebody has begun to send already, by the marks found on their shards."""
    return {row.id for row in rows if row.id <= marks.get(row.shard, 0)}


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to rest before the next look at the outbox, in seconds.

    NOTIFY would save the looking and cost the writers four transactions in five. Looking is cheap (under a millisecond),
    carrying is not, and a few rows cost the relay, its PostgreSQL, the broker and whoever hears of them nearly as much as
    many. So after few rows it rests as if there were none, and finds more the next time; after many it is soon back,
    unless they took long: then the machine is busy, and it gives way (docs/adr/0078).
    """

    few: int = 16
    """Rows in a batch."""
    idle: float = 0.05
    """After few rows, or none."""
    busy: float = 0.01
    """After more, at least."""
    gives_way: float = 0.5
    """After more, so many times as long as they took."""
    longest: float = 0.03
    """Of those rests."""
    failing: float = 0.2
    failing_longest: float = 5.0

    def rest(self, *, rows: int, worked: float) -> float:
        """When nothing more waits, after a batch of so many `rows` that took `worked`."""
        if rows < self.few:
            return self.idle
        return min(max(self.busy, self.gives_way * worked), self.longest)

    def back_off(self, failures: int) -> float:
        """After so many failures in a row."""
        return min(self.failing_longest, self.failing * 2.0 ** min(failures - 1, 10))
