"""Events, races and their results: who declares them, and when two declarations are one result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from betting.domain.errors import (
    EventStateConflict,
    HorsesInvalid,
    RaceStateConflict,
    ResultAlreadyDeclared,
    ResultInvalid,
)
from betting.domain.ids import EventId, RaceId, RunnerId, UserId


class EventStatus(StrEnum):
    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"


@dataclass(frozen=True, slots=True)
class Event:
    """A *junta*: a day of match races at one venue, held under a permit."""

    id: EventId
    name: str
    venue: str
    permit: str
    starts_at: datetime
    status: EventStatus

    def published(self) -> "Event":
        if self.status is not EventStatus.DRAFT:
            raise EventStateConflict(f"the event is {self.status}")
        return replace(self, status=EventStatus.PUBLISHED)


class RaceStatus(StrEnum):
    SCHEDULED = "SCHEDULED"
    AT_GATE = "AT_GATE"
    DECLARED = "DECLARED"  # one official has declared; nobody is told what
    DISPUTED = "DISPUTED"  # the two declarations differ
    FINAL = "FINAL"
    NO_CORRE = "NO_CORRE"


RACE_MOVES: Mapping[RaceStatus, frozenset[RaceStatus]] = {
    RaceStatus.SCHEDULED: frozenset({RaceStatus.AT_GATE, RaceStatus.NO_CORRE}),
    RaceStatus.AT_GATE: frozenset({RaceStatus.DECLARED, RaceStatus.NO_CORRE}),
    RaceStatus.DECLARED: frozenset({RaceStatus.FINAL, RaceStatus.DISPUTED, RaceStatus.NO_CORRE}),
    RaceStatus.DISPUTED: frozenset({RaceStatus.NO_CORRE}),
    RaceStatus.FINAL: frozenset(),
    RaceStatus.NO_CORRE: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Runner:
    id: RunnerId
    horse: str


@dataclass(frozen=True, slots=True)
class Race:
    """Two horses over a straight track. The first runner is a market's side A, the second its side B."""

    id: RaceId
    event_id: EventId
    number: int
    distance_m: int
    starts_at: datetime
    runners: tuple[Runner, Runner]
    status: RaceStatus

    def moved(self, to: RaceStatus) -> "Race":
        if to not in RACE_MOVES[self.status]:
            raise RaceStateConflict(f"the race is {self.status} and does not become {to}")
        return replace(self, status=to)


def check_horses(horses: Sequence[str]) -> tuple[str, str]:
    """The two horses of a match race. Raises HorsesInvalid."""
    if len(horses) != 2 or len({horse.casefold() for horse in horses}) != 2:
        raise HorsesInvalid("name two different horses", field="horses")
    return horses[0], horses[1]


class Margin(StrEnum):
    """What a winner won by, from the least on, as the *veedor* calls it."""

    MEDIA_CABEZA = "media cabeza"
    CABEZA = "cabeza"
    PESCUEZO = "pescuezo"
    PALETA = "paleta"
    FAJA = "faja"
    IJAR = "ijar"
    PICO_A_RABO = "pico a rabo"
    BLANCO = "blanco"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one official saw. `winner` and `margin` are None for a dead heat."""

    winner: RunnerId | None
    margin: Margin | None
    off_time: datetime
    photo_sha256: bytes

    def __post_init__(self) -> None:
        if (self.winner is None) != (self.margin is None):
            raise ResultInvalid("a winner has a margin and a dead heat has none", field="margin")


def judge(race: Race, official: UserId, declared: Declaration, earlier: Mapping[UserId, Declaration]) -> Race:
    """The race after `official` declared its result, given the `earlier` declarations.

    Two different officials declare blind; any difference between them is a dispute. Without an objection window
    an agreed result is final at once. Raises ResultInvalid, ResultAlreadyDeclared or RaceStateConflict.
    """
    if declared.winner is not None and declared.winner not in {runner.id for runner in race.runners}:
        raise ResultInvalid("the winner did not run in this race", field="winner")
    if official in earlier:
        raise ResultAlreadyDeclared("a second, different official declares the result as well")
    if not earlier:
        return race.moved(RaceStatus.DECLARED)
    agreed = all(other == declared for other in earlier.values())
    return race.moved(RaceStatus.FINAL if agreed else RaceStatus.DISPUTED)
