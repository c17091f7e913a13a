"""One's own account: address, name, documents, history, export, closing."""

from collections.abc import Sequence
from datetime import datetime

from aiohttp import web
from common.http import Body, Role, Route, View, read, read_query, reply
from common.http.cursors import read_cursor, write_cursor

from identity.api.access import TOO_MANY_GUESSES, LiveSessionView
from identity.api.accounts import DocumentBody, UserView
from identity.api.devices import DeviceView, after_devices
from identity.api.kyc import CaseView
from identity.api.parts import (
    MOST_ON_A_PAGE,
    NO_STORE,
    PROFILES,
    OneTimeCode,
    PageQuery,
    ShortText,
    caller,
    session_of,
)
from identity.api.play import PolicyView
from identity.domain.codes import WrongCode
from identity.domain.documents import (
    DocumentKind,
    DocumentNotYours,
    DocumentTaken,
    HolderDocument,
    InvalidDocument,
)
from identity.domain.people import (
    AccountClosed,
    AlreadyRegistered,
    Email,
    FullName,
    InvalidEmail,
    InvalidName,
    SessionEnded,
)
from identity.service.profile import Export
from identity.sessions import SessionsUnavailable
from identity.store.people import Formerly

HISTORY_ORDER = "me/history"


class ChangeProfileRequest(Body):
    """What is left out stays as it is."""

    email: ShortText | None = None
    full_name: ShortText | None = None


class VerifyEmailRequest(Body):
    code: OneTimeCode


class DocumentView(View):
    kind: DocumentKind
    value: str

    @classmethod
    def of(cls, document: HolderDocument) -> "DocumentView":
        return cls(kind=document.kind, value=document.value)


class DocumentsView(View):
    items: tuple[DocumentView, ...]

    @classmethod
    def of(cls, documents: tuple[HolderDocument, ...]) -> "DocumentsView":
        return cls(items=tuple(DocumentView.of(each) for each in documents))


class FormerlyView(View):
    """The account as it was before `replaced_at`."""

    version: int
    email: str
    full_name: str
    role: Role
    replaced_at: datetime

    @classmethod
    def of(cls, formerly: Formerly) -> "FormerlyView":
        return cls(
            version=formerly.version,
            email=formerly.email,
            full_name=formerly.full_name,
            role=formerly.role,
            replaced_at=formerly.replaced_at,
        )


class HistoryView(View):
    """A page of what was. `next` goes into `after`; null: there is no more."""

    items: tuple[FormerlyView, ...]
    next: str | None


class ExportView(View):
    """Everything identity knows about somebody. Bets, payments and the wallet's statement have pages of their own.

    Of a long history, or many devices, this is the first page: where `history_next` or `devices_next` is not null it goes into
    the `after` of `/v1/me/history` or `/v1/devices`, which have the others.
    """

    user: UserView
    documents: tuple[DocumentView, ...]
    history: tuple[FormerlyView, ...]
    history_next: str | None
    devices: tuple[DeviceView, ...]
    devices_next: str | None
    sessions: tuple[LiveSessionView, ...]
    kyc: CaseView | None
    play: PolicyView | None


async def change_profile(request: web.Request) -> web.Response:
    """Change one's address or name.

    A new address counts only when it has been verified; the old one is told of the change.
    """
    wanted = await read(request, ChangeProfileRequest)
    user = await request.app[PROFILES].change(
        caller(request),
        email=None if wanted.email is None else Email.parse(wanted.email),
        full_name=None if wanted.full_name is None else FullName.parse(wanted.full_name),
    )
    return reply(UserView.of(user))


async def send_email_code(request: web.Request) -> web.Response:
    """Have a code sent to one's address."""
    await request.app[PROFILES].send_email_code(caller(request))
    return reply(None, status=202)


async def verify_email(request: web.Request) -> web.Response:
    """Show that messages arrive, by the code of the last one."""
    wanted = await read(request, VerifyEmailRequest)
    user = await request.app[PROFILES].verify_email(caller(request), wanted.code.get_secret_value())
    return reply(UserView.of(user))


async def documents(request: web.Request) -> web.Response:
    """One's documents."""
    return reply(DocumentsView.of(await request.app[PROFILES].documents(caller(request))))


async def add_document(request: web.Request) -> web.Response:
    """Add a document: one of each kind, nobody else's. The same one again changes nothing."""
    wanted = await read(request, DocumentBody)
    document = HolderDocument.parse(wanted.kind, wanted.value, field="value")
    return reply(DocumentsView.of(await request.app[PROFILES].add_document(caller(request), document)))


async def history(request: web.Request) -> web.Response:
    """What one's account said before each change, oldest first."""
    page = read_query(request, PageQuery)
    after = 0 if page.after is None else int(*read_cursor(page.after, HISTORY_ORDER, int))
    found = await request.app[PROFILES].history(caller(request), after, limit=page.limit)
    view = HistoryView(
        items=tuple(FormerlyView.of(each) for each in found), next=_after(found, limit=page.limit)
    )
    return reply(view)


async def export(request: web.Request) -> web.Response:
    """Everything identity knows about one, to take along."""
    found = await request.app[PROFILES].export(caller(request), limit=MOST_ON_A_PAGE)
    headers = {**NO_STORE, "Content-Disposition": 'attachment; filename="el-carril-identity.json"'}
    return reply(_exported(found, request), headers=headers)


async def close_account(request: web.Request) -> web.Response:
    """Close one's account for good.

    Every session ends. What is in the wallet stays one's own: one may log in to withdraw it.
    """
    return reply(UserView.of(await request.app[PROFILES].close(caller(request))))


def _after(found: Sequence[Formerly], *, limit: int) -> str | None:
    """The cursor at the end of a page of at most so many; None if it was the last one."""
    return write_cursor(HISTORY_ORDER, found[-1].version) if len(found) == limit else None


def _exported(found: Export, request: web.Request) -> ExportView:
    current = session_of(request)
    return ExportView(
        user=UserView.of(found.user),
        documents=tuple(DocumentView.of(each) for each in found.documents),
        history=tuple(FormerlyView.of(each) for each in found.history),
        history_next=_after(found.history, limit=MOST_ON_A_PAGE),
        devices=tuple(DeviceView.of(each) for each in found.devices),
        devices_next=after_devices(found.devices, limit=MOST_ON_A_PAGE),
        sessions=tuple(LiveSessionView.of(each, current=current) for each in found.sessions),
        kyc=None if found.kyc is None else CaseView.of(found.kyc),
        play=None if found.play is None else PolicyView.of(found.play),
    )


ROUTES = (
    Route("PATCH", "/v1/me", change_profile, body=ChangeProfileRequest, returns=UserView, step_up=True,
          refusals=(InvalidEmail, InvalidName, AlreadyRegistered, AccountClosed, SessionEnded, *TOO_MANY_GUESSES)),
    Route("POST", "/v1/me/email/code", send_email_code, status=202,
          refusals=(SessionEnded, *TOO_MANY_GUESSES)),
    Route("POST", "/v1/me/email/verify", verify_email, body=VerifyEmailRequest, returns=UserView,
          refusals=(WrongCode, AccountClosed, SessionEnded)),
    Route("GET", "/v1/me/documents", documents, returns=DocumentsView),
    Route("POST", "/v1/me/documents", add_document, body=DocumentBody, returns=DocumentsView, step_up=True,
          refusals=(InvalidDocument, DocumentNotYours, DocumentTaken, AccountClosed, SessionEnded)),
    Route("GET", "/v1/me/history", history, query=PageQuery, returns=HistoryView),
    Route("GET", "/v1/me/export", export, returns=ExportView, step_up=True,
          refusals=(SessionEnded, SessionsUnavailable)),
    Route("POST", "/v1/me/close", close_account, returns=UserView, role=Role.BETTOR, step_up=True,
          refusals=(AccountClosed, SessionEnded, SessionsUnavailable)),
)  # fmt: skip
