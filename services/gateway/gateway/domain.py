"""What the public door lets through, where to, and for whom."""

import re
from dataclasses import dataclass
from enum import StrEnum

from common.errors import Forbidden, NotFound
from common.roles import Role

# One segment of a canonical path: the unreserved characters of RFC 3986. Nothing percent-encoded can
# be in it, so a path reads the same here and at the upstream, and "." and ".." never name anything.
SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}")
MAX_PATH_CHARACTERS = 512
QUERY = re.compile(r"[!-~]{0,2048}")

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


class RoleForbidden(Forbidden):
    slug = "role-forbidden"
    title = "Not for this role"


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """One row of the routing table. `path` has `{name}` for a variable segment."""

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
    def name(self) -> str:
        """A name unique in the table, for logs and metrics."""
        return re.sub(r"[^a-z0-9]+", "_", f"{self.method} {self.path}".lower()).strip("_")

    @property
    def shape(self) -> str:
        """The path with unnamed variables: two templates of one shape address the same things."""
        return shape_of(self.path)

    def admits(self, role: Role) -> bool:
        """An empty set of roles admits everyone with a session."""
        return not self.roles or role in self.roles


def is_canonical(raw_path: str, raw_query: str = "") -> bool:
    """Whether an address, as it came on the wire, can only be read in one way."""
    return (
        len(raw_path) <= MAX_PATH_CHARACTERS
        and raw_path.startswith("/")
        and all(SEGMENT.fullmatch(segment) for segment in raw_path.split("/")[1:])
        and QUERY.fullmatch(raw_query) is not None
    )


def shape_of(path: str) -> str:
    return re.sub(r"\{[^/}]*\}", "{}", path)
