"""Load shedding: a bounded number of requests is worked on, and those that matter most get the last places."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from common.errors import Unavailable
from prometheus_client import Counter, Gauge

from gateway.domain import Priority

SHARE_OF_100: Final = {Priority.BROWSE: 60, Priority.ENTER: 80, Priority.MONEY: 100}
"""Up to how full the gateway may be for a request of that priority to come in still."""

IN_HAND: Final = Gauge("gateway_requests_in_hand", "Requests being worked on")
SHED: Final = Counter("gateway_requests_shed", "Requests turned away for lack of places", ("priority",))


class Overloaded(Unavailable):
    """All places that this kind of request may take are taken. Nothing was done."""

    slug = "overloaded"
    title = "Too much to do now"


class Shedder:
    """Counts requests in hand."""

    def __init__(self, capacity: int) -> None:
        self._places = {priority: capacity * share // 100 for priority, share in SHARE_OF_100.items()}
        self._in_hand = 0

    @contextmanager
    def place(self, priority: Priority) -> Iterator[None]:
        """Hold a place. Raises Overloaded."""
        if self._in_hand >= self._places[priority]:
            SHED.labels(priority.name.lower()).inc()
            raise Overloaded("Try again in a moment.", retry_after=1)
        self._in_hand += 1
        IN_HAND.set(self._in_hand)
        try:
            yield
        finally:
            self._in_hand -= 1
            IN_HAND.set(self._in_hand)
