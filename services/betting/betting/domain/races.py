"""Races: who runs, and the states a race moves through until its result is final."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from betting.domain.errors import HorsesInvalid, RaceStateConflict
from betting.domain.ids import EventId, RaceId, RunnerId, StableId

MOST_RUNNERS = 20


class RaceStatus(StrEnum):
    SCHEDULED = "SCHEDULED"
    POSTPONED = "POSTPONED"  # on the same day it may still run; past it, its markets are void
    AT_GATE = "AT_GATE"
    OFF = "OFF"
    FINISHED = "FINISHED"
    DECLARED = "DECLARED"  # one official has declared; nobody is told what
    CONFIRMED = "CONFIRMED"  # two agree; whoever has a right to may object until the window closes
    DISPUTED = "DISPUTED"  # the two differ, or somebody objected: a third official rules
    FINAL = "FINAL"
    NO_CONTEST = "NO_CONTEST"  # it was run and does not count
    NO_CORRE = "NO_CORRE"  # it is not run


_ENDS = frozenset({RaceStatus.NO_CORRE, RaceStatus.NO_CONTEST})

RACE_MOVES: Mapping[RaceStatus, frozenset[RaceStatus]] = {
    RaceStatus.SCHEDULED: frozenset({RaceStatus.AT_GATE, RaceStatus.POSTPONED, RaceStatus.NO_CORRE}),
    RaceStatus.POSTPONED: frozenset({RaceStatus.POSTPONED, RaceStatus.AT_GATE, RaceStatus.NO_CORRE}),
    RaceStatus.AT_GATE: frozenset({RaceStatus.OFF, *_ENDS}),
    RaceStatus.OFF: frozenset({RaceStatus.FINISHED, RaceStatus.NO_CONTEST}),
    RaceStatus.FINISHED: frozenset({RaceStatus.DECLARED, RaceStatus.NO_CONTEST}),
    RaceStatus.DECLARED: frozenset({RaceStatus.CONFIRMED, RaceStatus.DISPUTED, RaceStatus.NO_CONTEST}),
    RaceStatus.CONFIRMED: frozenset({RaceStatus.FINAL, RaceStatus.DISPUTED, RaceStatus.NO_CONTEST}),
    RaceStatus.DISPUTED: frozenset({RaceStatus.FINAL, RaceStatus.NO_CONTEST}),
    RaceStatus.FINAL: frozenset(),
    RaceStatus.NO_CONTEST: frozenset(),
    RaceStatus.NO_CORRE: frozenset(),
}

NOT_RUN = frozenset({RaceStatus.SCHEDULED, RaceStatus.POSTPONED, RaceStatus.AT_GATE})


@dataclass(frozen=True, slots=True)
class Runner:
    """A horse in a race, the stable it runs for and the lane it starts from."""

    id: RunnerId
    horse: str
    stable: StableId | None = None
    carril: int | None = None
    scratched: bool = False


@dataclass(frozen=True, slots=True)
class Race:
    """Horses over a straight track, in the order of the card."""

    id: RaceId
    event_id: EventId
    number: int
    distance_m: int
    starts_at: datetime
    runners: tuple[Runner, ...]
    status: RaceStatus
    conditions: str | None = None
    objection_until: datetime | None = None
    result_version: int = 0

    @property
    def is_match(self) -> bool:
        return len(self.runners) == 2

    def moved(self, to: RaceStatus) -> "Race":
        """Raises RaceStateConflict."""
        if to not in RACE_MOVES[self.status]:
            raise RaceStateConflict(f"the race is {self.status} and does not become {to}")
        return replace(self, status=to)

    def way_to(self, to: RaceStatus) -> "list[Race]":
        """The race in each state it passes on the way: a declared race was off and finished, told or not."""
        course = (RaceStatus.AT_GATE, RaceStatus.OFF, RaceStatus.FINISHED, RaceStatus.DECLARED)
        if self.status not in course or to not in course:
            return [self.moved(to)]
        here, there = course.index(self.status), course.index(to)
        if here >= there:
            return [self.moved(to)]
        passed = [self]
        for status in course[here + 1 : there + 1]:
            passed.append(passed[-1].moved(status))
        return passed[1:]

    def runner(self, id: RunnerId) -> Runner | None:
        return next((runner for runner in self.runners if runner.id == id), None)


def check_horses(horses: Sequence[str]) -> tuple[str, ...]:
    """The horses of a race, two at least. Raises HorsesInvalid."""
    if not 2 <= len(horses) <= MOST_RUNNERS or len({horse.casefold() for horse in horses}) != len(horses):
        raise HorsesInvalid(f"name two to {MOST_RUNNERS} different horses", field="horses")
    return tuple(horses)
