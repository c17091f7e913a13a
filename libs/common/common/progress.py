"""Whether work that no request waits for moves: a process that is alive may still do nothing.

Every such loop says when a turn ended well, and what it owes since then is told at each scrape. It is counted by the
clock that never jumps, so a wrong time of day neither raises nor hides anything.
"""

import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Gauge

OVERDUE_SECONDS: Final = Gauge(
    "work_overdue_seconds",
    "Since when a turn of this work should have ended well; 0 while none is late.",
    ("work",),
)


class Progress:
    """What a loop tells of itself.

    every_seconds   how long the loop rests between two turns at most
    """

    def __init__(
        self, work: str, *, every_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._ended_at = clock()
        OVERDUE_SECONDS.labels(work).set_function(lambda: self.overdue_seconds)

    def done(self) -> None:
        """A turn ended well, whether or not there was anything to do."""
        self._ended_at = self._clock()

    @property
    def overdue_seconds(self) -> float:
        """How long the next one is late, counted from when it should have begun."""
        return max(0.0, self._clock() - self._ended_at - self._every_seconds)
