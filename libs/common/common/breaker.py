"""Circuit breaking: whatever does not answer is left alone for a while, then tried with one request.

Without it every request to a dead server waits for its time-out, and whoever waits holds a place that
requests to healthy ones need.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from prometheus_client import Gauge

from common.errors import Unavailable

TRIP_AFTER: Final = 8
"""Failures in a row."""
REST_SECONDS: Final = 1.0
LONGEST_REST_SECONDS: Final = 4.0
"""As long as a service takes to start: whoever is back is not left alone for much longer than it was away."""

OPEN: Final = Gauge("circuit_open", "1 while requests to a server are turned away", ("to",))


class CircuitOpen(Unavailable):
    """The server did not answer a moment ago, so it was not asked."""

    slug = "upstream-resting"
    title = "The service is not available"


class Breaker:
    """The circuit to one server: closed, open, or half open while one request probes."""

    def __init__(
        self,
        to: str,
        failures: tuple[type[Exception], ...],
        *,
        trip_after: int = TRIP_AFTER,
        longest_rest_seconds: float = LONGEST_REST_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`failures` are the errors that mean that the server did not answer; so many in a row open the circuit. The rest
        doubles with each probe that fails, up to the longest."""
        self._failures = failures
        self._trip_after = trip_after
        self._longest_rest_seconds = longest_rest_seconds
        self._clock = clock
        self._in_a_row = 0
        self._rest_seconds = REST_SECONDS
        self._open_until: float | None = None
        self._probing = False
        self._gauge = OPEN.labels(to)
        self._gauge.set(0)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around one request. Raises CircuitOpen when the server is not to be asked."""
        probes = self._admit()
        try:
            yield
        except self._failures:
            self._failed(probes)
            raise
        except BaseException:
            # The caller left, or the server refused: the first tells nothing, the second comes as a return.
            self._probing = self._probing and not probes
            raise
        self._succeeded()

    def _admit(self) -> bool:
        """Whether this request is the probe."""
        if self._open_until is None:
            return False
        left = self._open_until - self._clock()
        if left > 0 or self._probing:
            raise CircuitOpen("Try again in a moment.", retry_after=max(1, round(left)))
        self._probing = True
        return True

    def _failed(self, probes: bool) -> None:
        self._in_a_row += 1
        if probes:
            self._rest_seconds = min(self._rest_seconds * 2, self._longest_rest_seconds)
        elif self._in_a_row < self._trip_after or self._open_until is not None:
            return
        self._open_until = self._clock() + self._rest_seconds
        self._probing = False
        self._gauge.set(1)

    def _succeeded(self) -> None:
        self._in_a_row = 0
        self._rest_seconds = REST_SECONDS
        self._open_until = None
        self._probing = False
        self._gauge.set(0)
