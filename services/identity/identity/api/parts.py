"""What handlers find in the application, and what their requests have in common."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.errors import Invalid
from common.http import PRINCIPAL, Body
from common.http.cursors import MAX_CURSOR, cursor_moment, read_cursor
from pydantic import Field, SecretStr

from identity.domain.people import SessionEnded, UserId
from identity.service.access import Access
from identity.service.accounts import Accounts
from identity.service.approvals import Approvals
from identity.service.devices import Devices
from identity.service.kyc import Kyc
from identity.service.passwords import PasswordDesk
from identity.service.play import Play
from identity.service.profile import Profiles
from identity.service.staff import Staff
from identity.sessions import Origin
from identity.tokens import Keyring

ACCOUNTS = web.AppKey("accounts", Accounts)
ACCESS = web.AppKey("access", Access)
DEVICES = web.AppKey("devices", Devices)
PASSWORDS = web.AppKey("passwords", PasswordDesk)
APPROVALS = web.AppKey("approvals", Approvals)
STAFF = web.AppKey("staff", Staff)
KYC = web.AppKey("kyc", Kyc)
PLAY = web.AppKey("play", Play)
PROFILES = web.AppKey("profiles", Profiles)
KEYRING = web.AppKey("keyring", Keyring)

# What the wire takes in before any rule is applied; the rules are narrower.
ShortText = Annotated[str, Field(max_length=254)]
Secret = Annotated[SecretStr, Field(max_length=1024)]
OneTimeCode = Annotated[SecretStr, Field(min_length=6, max_length=8)]
NO_STORE = {"Cache-Control": "no-store"}

ADDRESS_HEADER = "X-Client-Address"
"""Set by the gateway, which alone can reach this service."""
MAX_ORIGIN_CHARACTERS = 200


MOST_ON_A_PAGE = 200


class PageQuery(Body):
    """A page of a list. `after` is the `next` of the page before."""

    after: Annotated[str, Field(max_length=MAX_CURSOR)] | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_ON_A_PAGE)] = 50


def place_by_time(after: str, order: str) -> tuple[datetime, UUID]:
    """The moment and the id that a page in that order ended with. Raises Invalid, naming `after`."""
    moment, id = read_cursor(after, order, str, str)
    try:
        return cursor_moment(str(moment)), UUID(str(id))
    except ValueError:
        raise Invalid("take the cursor from the page before", field="after") from None


def caller(request: web.Request) -> UserId:
    """Who is asking."""
    return UserId(UUID(request[PRINCIPAL].subject))


def session_of(request: web.Request) -> UUID:
    """The session that is asking. Raises SessionEnded for a token that was made for none."""
    session = request[PRINCIPAL].session
    if session is None:
        raise SessionEnded("Log in first.")
    return UUID(session)


def origin_of(request: web.Request) -> Origin:
    """Where a request came from, as far as it says."""
    return Origin(
        request.headers.get(ADDRESS_HEADER, "")[:MAX_ORIGIN_CHARACTERS],
        request.headers.get("User-Agent", "")[:MAX_ORIGIN_CHARACTERS],
    )


def id_in_path(request: web.Request, name: str) -> UUID | None:
    """An id in the path; None for what cannot be one."""
    try:
        return UUID(request.match_info[name])
    except ValueError:
        return None
