"""The staff, as administrators ask for changes to it; and activating one's own account."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.errors import Invalid
from common.http import IDEMPOTENCY_KEY, Body, Handler, Role, Route, View, read, read_query, reply
from common.http.cursors import read_cursor, write_cursor
from common.idempotency import fingerprint
from pydantic import BaseModel, Field

from identity.api.access import TOO_MANY_GUESSES
from identity.api.accounts import UserView
from identity.api.approvals import REFUSALS, ApprovalView, shown
from identity.api.parts import (
    APPROVALS,
    NO_STORE,
    STAFF,
    OneTimeCode,
    PageQuery,
    Secret,
    ShortText,
    caller,
    id_in_path,
)
from identity.domain.approvals import Act
from identity.domain.codes import WrongCode
from identity.domain.documents import DocumentKind, HolderDocument, InvalidDocument
from identity.domain.passwords import WeakPassword
from identity.domain.people import STAFF_ROLES, Email, FullName, InvalidEmail, InvalidName, NotStaff
from identity.passwords import HashingBusy
from identity.service.approvals import Asked
from identity.service.staff import NoSuchStaff

STAFF_ORDER = "staff"
Reason = Annotated[str, Field(max_length=500)]
StaffRole = Annotated[Role, Field(strict=False, examples=["official"])]


class AppointmentRequest(Body):
    """Somebody who should work here."""

    email: ShortText
    full_name: ShortText
    curp: ShortText
    role: StaffRole
    reason: Reason

    def details(self) -> dict[str, str]:
        """As it is kept. Raises InvalidEmail, InvalidName, InvalidDocument, NotStaff."""
        return {
            "email": Email.parse(self.email).value,
            "full_name": FullName.parse(self.full_name).value,
            "curp": HolderDocument.parse(DocumentKind.CURP, self.curp, field="curp").value,
            "role": _staff_role(self.role).value,
        }


class RoleRequest(Body):
    role: StaffRole
    reason: Reason


class ReasonRequest(Body):
    reason: Reason


class ActivationRequest(Body):
    """`code` came by message with the appointment."""

    email: ShortText
    code: OneTimeCode
    password: Secret


class ActivatedView(View):
    """What an authenticator app is told, this once; usually shown as a QR code."""

    otpauth: str


class StandingView(View):
    """What somebody of the staff is, and the number of what their sessions stand on."""

    role: Role
    proof: int


class StaffView(View):
    """A page of the staff. `next` goes into `after`; null: there are no more."""

    items: tuple[UserView, ...]
    next: str | None


async def staff(request: web.Request) -> web.Response:
    """Everybody who works here or did, by name."""
    page = read_query(request, PageQuery)
    found = await request.app[STAFF].staff(_place(page.after), limit=page.limit)
    full = len(found) == page.limit
    after = write_cursor(STAFF_ORDER, str(found[-1].id)) if full else None
    return reply(StaffView(items=tuple(UserView.of(each) for each in found), next=after))


async def standing(request: web.Request) -> web.Response:
    """Whether somebody works here, as what, and on what their sessions stand. Internal: for decisions that take two people."""
    member = await request.app[STAFF].employed(_id(request))
    return reply(StandingView(role=member.role, proof=member.proof))


async def ask_appointment(request: web.Request) -> web.Response:
    """Ask for somebody to be appointed. Another administrator decides."""
    wanted = await read(request, AppointmentRequest)
    details = wanted.details()
    return await _ask(request, Act.APPOINT, details["email"], details, wanted.reason, wanted)


async def ask_role(request: web.Request) -> web.Response:
    """Ask for another role for somebody. Another administrator decides."""
    wanted = await read(request, RoleRequest)
    details = {"role": _staff_role(wanted.role).value}
    return await _ask(request, Act.CHANGE_ROLE, await _member(request), details, wanted.reason, wanted)


async def ask_dismissal(request: web.Request) -> web.Response:
    """Ask for somebody's account to be closed. Another administrator decides."""
    wanted = await read(request, ReasonRequest)
    return await _ask(request, Act.DISMISS, await _member(request), {}, wanted.reason, wanted)


async def ask_second_factor(request: web.Request) -> web.Response:
    """Ask for a new second factor for somebody who lost theirs. Another administrator decides."""
    wanted = await read(request, ReasonRequest)
    return await _ask(request, Act.SECOND_FACTOR, await _member(request), {}, wanted.reason, wanted)


async def activate(request: web.Request) -> web.Response:
    """Set one's password and learn one's second factor, with the code that came by message."""
    wanted = await read(request, ActivationRequest)
    uri = await request.app[STAFF].activate(
        wanted.email, wanted.code.get_secret_value(), wanted.password.get_secret_value()
    )
    return reply(ActivatedView(otpauth=uri), headers=NO_STORE)


async def _ask(
    request: web.Request, act: Act, subject: str, details: Mapping[str, str], reason: str, wanted: BaseModel
) -> web.Response:
    asked = Asked(
        act=act,
        subject=subject,
        details=details,
        reason=reason,
        key=request[IDEMPOTENCY_KEY],
        fingerprint=fingerprint(f"POST {request.path}", wanted),
    )
    return reply(await request.app[APPROVALS].ask(caller(request), asked, show=shown))


async def _member(request: web.Request) -> str:
    return str((await request.app[STAFF].member(_id(request))).id)


def _id(request: web.Request) -> UUID:
    user_id: UUID | None = id_in_path(request, "user_id")
    if user_id is None:
        raise NoSuchStaff("Nobody of that id works here.")
    return user_id


def _place(after: str | None) -> UUID | None:
    """Whom a page ended with: by id, so that no name stands in an address."""
    if after is None:
        return None
    (member,) = read_cursor(after, STAFF_ORDER, str)
    try:
        return UUID(str(member))
    except ValueError:
        raise Invalid("take the cursor from the page before", field="after") from None


def _staff_role(role: Role) -> Role:
    if role not in STAFF_ROLES:
        raise NotStaff(f"Staff roles are {', '.join(sorted(STAFF_ROLES))}.", field="role")
    return role


def _asking(path: str, handler: Handler, body: type[BaseModel]) -> Route:
    return Route("POST", path, handler, body=body, returns=ApprovalView, status=202, role=Role.ADMIN,
                 idempotent=True, step_up=True, refusals=(NoSuchStaff, NotStaff, *REFUSALS))  # fmt: skip


ROUTES = (
    Route("GET", "/v1/staff", staff, query=PageQuery, returns=StaffView, role=(Role.ADMIN, Role.AUDITOR)),
    Route("POST", "/v1/staff", ask_appointment, body=AppointmentRequest, returns=ApprovalView, status=202,
          role=Role.ADMIN, idempotent=True, step_up=True,
          refusals=(InvalidEmail, InvalidName, InvalidDocument, NotStaff, *REFUSALS)),
    _asking("/v1/staff/{user_id}/role", ask_role, RoleRequest),
    _asking("/v1/staff/{user_id}/dismissal", ask_dismissal, ReasonRequest),
    _asking("/v1/staff/{user_id}/second-factor", ask_second_factor, ReasonRequest),
    Route("GET", "/internal/staff/{user_id}", standing, returns=StandingView, auth="none", refusals=(NoSuchStaff,)),
    Route("POST", "/v1/staff/activate", activate, body=ActivationRequest, returns=ActivatedView, auth="none",
          refusals=(WrongCode, WeakPassword, HashingBusy, *TOO_MANY_GUESSES)),
)  # fmt: skip
