"""What the public door lets through, where to, for whom, and how much of it."""

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from common.errors import Forbidden, NotFound
from common.roles import Role

# One segment of a canonical path: the unreserved characters of RFC 3986. Nothing percent-encoded can
# be in it, so a path reads the same here and at the upstream, and "." and ".." never name anything.
SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}")
MAX_PATH_CHARACTERS: Final = 512
QUERY: Final = re.compile(r"[!-~]{0,2048}")

KIB: Final = 1024


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
    """Routes that share their rate limits: those that try a password, those that move money, the others."""

    AUTH = "auth"
    MONEY = "money"
    OTHER = "other"


class Dimension(StrEnum):
    """What requests are counted by."""

    ACCOUNT = "account"
    DEVICE = "device"
    ADDRESS = "address"


class Priority(IntEnum):
    """Who is served last when there is too much to do: the higher, the longer."""

    BROWSE = 1
    ENTER = 2
    MONEY = 3


class Owner(StrEnum):
    """Whose objects an address with an id names: the caller's own alone, or nobody's in particular."""

    CALLER = "own"
    NOBODY = "any"


class NoSuchRoute(NotFound):
    slug = "no-such-route"
    title = "There is nothing at this address"


class RoleForbidden(Forbidden):
    slug = "role-forbidden"
    title = "Not for this role"


@dataclass(frozen=True, slots=True)
class PublicRoute:
    """One row of the routing table. `path` has `{name}` for a variable segment.

    A `signed` route wants the signature of a device of the caller's. `owner` says whose object the variable
    segment names; another's is answered 404.
    """

    method: str
    path: str
    service: Service
    limit: LimitClass = LimitClass.OTHER
    access: Access = Access.SESSION
    roles: frozenset[Role] = frozenset()
    owner: Owner = Owner.NOBODY
    signed: bool = False
    priority: Priority = Priority.BROWSE
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
