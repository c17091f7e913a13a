"""Events: a *junta*, a day of races at one carril, held under a permit."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from betting.domain.errors import EventStateConflict
from betting.domain.ids import EventId, UserId


class EventStatus(StrEnum):
    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    LIVE = "LIVE"  # the first horses have come to the gate
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


EVENT_MOVES: Mapping[EventStatus, frozenset[EventStatus]] = {
    EventStatus.DRAFT: frozenset({EventStatus.PUBLISHED, EventStatus.CANCELLED}),
    EventStatus.PUBLISHED: frozenset({EventStatus.LIVE, EventStatus.CLOSED, EventStatus.CANCELLED}),
    EventStatus.LIVE: frozenset({EventStatus.CLOSED, EventStatus.CANCELLED}),
    EventStatus.CLOSED: frozenset(),
    EventStatus.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Event:
    """`day` is the date at the venue and ends at `day_ends_at`; a race put off past it is void. `state` is the federal
    state, whose tax table applies. `objection_seconds` is how long a declared result can be objected to."""

    id: EventId
    name: str
    venue: str
    state: str
    permit: str
    starts_at: datetime
    day: date
    day_ends_at: datetime
    objection_seconds: int
    status: EventStatus

    def moved(self, to: EventStatus) -> "Event":
        """Raises EventStateConflict."""
        if to not in EVENT_MOVES[self.status]:
            raise EventStateConflict(f"the event is {self.status} and does not become {to}")
        return replace(self, status=to)


@dataclass(frozen=True, slots=True)
class Permit:
    """An authority's leave to hold races at a venue from one day to another, both included."""

    id: UUID
    number: str
    venue: str
    issuer: str
    valid_from: date
    valid_to: date
    registered_by: UserId

    def covers(self, event: Event) -> bool:
        return (self.number, self.venue) == (event.permit, event.venue) and (
            self.valid_from <= event.day <= self.valid_to
        )
