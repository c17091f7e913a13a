"""What the public door lets through, where to, and for whom. Pure: a table, and how a request finds its row."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.errors import Forbidden, Invalid, NotFound
from common.http import Role

# One segment of a canonical path: the unreserved characters of RFC 3986. Nothing percent-encoded can
# be in it, so a path reads the same here and at the upstream, and "." and ".." never name anything.
SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}")
MAX_PATH_CHARACTERS = 512

KIB = 1024


class Service(StrEnum):
    """The services behind the door. The name is also the audience of the tokens made for it."""

    IDENTITY = "identity"
    BETTING = "betting"
    PAYMENTS = "payments"
    LEDGER = "ledger"


class Access(StrEnum):
    """Who may pass: anyone, or the holder of a live session."""

    PUBLIC = "public"
    SESSION = "session"


class LimitClass(StrEnum):
    """Routes that share a rate limit: those that try a password, those that move money."""

    AUTH = "auth"
    MONEY = "money"


class NoSuchRoute(NotFound):
    slug = "no-such-route"
    title = "There is nothing at this address"


class MethodNotAllowed(Invalid):
    """The path exists, with other methods."""

    status = 405
    slug = "method-not-allowed"
    title = "Method not allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(f"Use {', '.join(self.allowed)}.")


class RoleForbidden(Forbidden):
    slug = "role-forbidden"
    title = "Not for this role"


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """One row of the routing table. `path` has `{name}` for a variable segment; limits are bytes and seconds."""

    method: str
    path: str
    service: Service
    limit: LimitClass | None = None
    access: Access = Access.SESSION
    roles: frozenset[Role] = frozenset()
    max_body_bytes: int = 16 * KIB
    timeout_seconds: float = 10.0
    ends_session: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(self.path.split("/")[1:])

    @property
    def shape(self) -> str:
        """The path with unnamed variables: two templates of one shape address the same things."""
        return shape_of(self.path)

    def admits(self, role: Role) -> bool:
        """An empty set of roles admits everyone with a session."""
        return not self.roles or role in self.roles

    def fits(self, segments: Sequence[str]) -> bool:
        return len(segments) == len(self.segments) and all(
            is_variable(wanted) or wanted == given for wanted, given in zip(self.segments, segments, strict=True)
        )


class RoutingTable:
    """Finds the row for a request. What no row names does not exist."""

    def __init__(self, routes: Sequence[PublicRoute]) -> None:
        """Raises ValueError when two rows claim the same requests."""
        self.routes = tuple(routes)
        claimed = [(route.method, route.shape) for route in self.routes]
        if len(set(claimed)) < len(claimed):
            raise ValueError("two routes claim the same method and path")

    def find(self, method: str, raw_path: str) -> PublicRoute:
        """Literal segments win over variable ones. Raises NoSuchRoute, MethodNotAllowed."""
        segments = segments_of(raw_path)
        fitting = [route for route in self.routes if route.fits(segments)]
        if not fitting:
            raise NoSuchRoute("No public route has this path.")
        named = [route for route in fitting if route.method == method]
        if not named:
            raise MethodNotAllowed([route.method for route in fitting])
        return min(named, key=lambda route: [is_variable(segment) for segment in route.segments])


def segments_of(raw_path: str) -> tuple[str, ...]:
    """Split a path as it came on the wire. Raises NoSuchRoute unless it is canonical."""
    segments = tuple(raw_path.split("/")[1:])
    canonical = (
        len(raw_path) <= MAX_PATH_CHARACTERS
        and raw_path.startswith("/")
        and all(SEGMENT.fullmatch(segment) for segment in segments)
    )
    if not canonical:
        raise NoSuchRoute("No public route has this path.")
    return segments


def is_variable(segment: str) -> bool:
    return segment.startswith("{")


def shape_of(path: str) -> str:
    return re.sub(r"\{[^/}]*\}", "{}", path)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A steady rate with a burst on top, per key. `refuse_when_blind`: whether nobody passes while the
    limiter's store does not answer (log-ins: a guesser must not profit from an outage) or everybody does."""

    per_second: float
    burst: int
    refuse_when_blind: bool

    @property
    def interval_micros(self) -> int:
        """The time one request takes up, rounded up so that the rate is never exceeded."""
        return -int(-1_000_000 // self.per_second)

    @property
    def tolerance_micros(self) -> int:
        """How far ahead of the steady rate a key may run."""
        return self.interval_micros * (self.burst - 1)


RateLimits = Mapping[LimitClass, RateLimit]
