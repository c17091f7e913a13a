"""How hard the workers try, and by which clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import SystemRandom

from payments.domain.schedule import backoff

Clock = Callable[[], datetime]

_RANDOM = SystemRandom()


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Pace:
    """`lease_seconds` is how long one worker may keep what it took, before others take it for dead.
    Tries come after `first_seconds`, doubling up to `longest_seconds`."""

    lease_seconds: float
    first_seconds: float
    longest_seconds: float

    def lease_end(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.lease_seconds)

    def while_people_look(self, now: datetime) -> datetime:
        """When to look again at what has been left to a person: seldom, in case it clears up by itself."""
        return now + timedelta(seconds=self.longest_seconds * 10)

    def next_try(self, now: datetime, tries: int) -> datetime:
        """When to try again after that many tries, spread at random."""
        wait = backoff(
            max(tries, 1),
            first_seconds=self.first_seconds,
            longest_seconds=self.longest_seconds,
            spread=_RANDOM.random(),
        )
        return now + wait
