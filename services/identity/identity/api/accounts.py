"""Accounts: registering, and who one is."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.errors import Invalid
from common.http import IDEMPOTENCY_KEY, Body, Role, Route, View, read, reply
from common.idempotency import Answer, fingerprint
from pydantic import Field

from identity.api.parts import ACCOUNTS, PLAY, Secret, ShortText, caller
from identity.domain.documents import DocumentKind, HolderDocument, InvalidDocument, NotAPersonsDocument
from identity.domain.passwords import WeakPassword
from identity.domain.people import (
    AlreadyRegistered,
    Applicant,
    BirthDateMismatch,
    BirthDateMissing,
    Email,
    FullName,
    InvalidEmail,
    InvalidName,
    SessionEnded,
    Underage,
    User,
    UserId,
)
from identity.domain.play import Measure, Period
from identity.passwords import HashingBusy
from identity.service.accounts import Registration


class DocumentBody(Body):
    """A holder document."""

    kind: Annotated[DocumentKind, Field(strict=False)]
    value: Annotated[ShortText, Field(examples=["BOXW310820HNERXN09"])]


class DocumentsMissing(Invalid):
    slug = "document-missing"
    title = "One document is needed"


class RegisterRequest(Body):
    """A new bettor, known by a `curp` or by another `document` (an RFC, a CPF).

    `birth_date` is needed if the document does not tell it, and must be the document's if it does.
    """

    curp: Annotated[ShortText | None, Field(examples=["BOXW310820HNERXN09"])] = None
    document: DocumentBody | None = None
    full_name: ShortText
    email: ShortText
    password: Annotated[Secret, Field(description="8 to 128 characters, not one that attackers try first.")]
    birth_date: date | None = None

    def applicant(self) -> Applicant:
        """Raises InvalidDocument, DocumentsMissing, InvalidEmail, InvalidName."""
        if (self.curp is None) == (self.document is None):
            raise DocumentsMissing("Send a curp or a document, not both.", field="curp")
        if self.document is not None:
            document = HolderDocument.parse(self.document.kind, self.document.value, field="document.value")
        else:
            document = HolderDocument.parse(DocumentKind.CURP, self.curp or "", field="curp")
        return Applicant(document, Email.parse(self.email), FullName.parse(self.full_name), self.birth_date)


class UserView(View):
    """Somebody's account. `email_verified_at` is null until the address has answered."""

    id: UUID
    email: str
    email_verified_at: datetime | None
    full_name: str
    birth_date: date
    role: Role
    registered_at: datetime
    closed_at: datetime | None

    @classmethod
    def of(cls, user: User) -> "UserView":
        return cls(
            id=user.id,
            email=user.email.value,
            email_verified_at=user.email_verified_at,
            full_name=user.full_name.value,
            birth_date=user.birth_date,
            role=user.role,
            registered_at=user.registered_at,
            closed_at=user.closed_at,
        )


async def register(request: web.Request) -> web.Response:
    """Register as a bettor.

    One person, one account: the document and the e-mail must be new. Only adults are admitted.
    """
    wanted = await read(request, RegisterRequest)
    registration = Registration(
        applicant=wanted.applicant(),
        password=wanted.password.get_secret_value(),
        key=request[IDEMPOTENCY_KEY],
        # A secret is written as asterisks, so the fingerprint does not cover the password.
        fingerprint=fingerprint("POST /v1/register", wanted),
    )
    return reply(await request.app[ACCOUNTS].register(registration, show=_registered))


class HolderView(View):
    """Whom the platform knows somebody as, by which documents, since when their password is what it is, and what they
    allow themselves: no play at all until then, so much deposited in each period, in pesos."""

    full_name: str
    curp: str | None
    rfc: str | None
    password_changed_at: datetime | None
    blocked_until: datetime | None
    deposit_limits: dict[Period, str]


async def holder(request: web.Request) -> web.Response:
    """Somebody's name, papers and limits. Internal: payments compares senders with them and asks no card for more."""
    try:
        user_id = UserId(UUID(request.match_info["id"]))
    except ValueError:
        raise SessionEnded("That is no user's id.") from None
    found, documents = await request.app[ACCOUNTS].holder(user_id)
    policy = await request.app[PLAY].policy(user_id)
    papers = {each.kind: each.value for each in documents}
    return reply(
        HolderView(
            full_name=found.full_name.value,
            curp=papers.get(DocumentKind.CURP),
            rfc=papers.get(DocumentKind.RFC),
            password_changed_at=found.password_changed_at,
            blocked_until=policy.blocked_until,
            deposit_limits={
                period: str(cap)
                for (measure, period), cap in policy.caps.items()
                if measure is Measure.DEPOSIT
            },
        )
    )


async def me(request: web.Request) -> web.Response:
    """Who the session belongs to."""
    return reply(UserView.of(await request.app[ACCOUNTS].user(caller(request))))


def _registered(user: User) -> Answer:
    return Answer.of(UserView.of(user), status=201, resource=str(user.id))


ROUTES = (
    Route("POST", "/v1/register", register, body=RegisterRequest, returns=UserView, status=201,
          auth="none", idempotent=True,
          refusals=(DocumentsMissing, InvalidDocument, NotAPersonsDocument, InvalidEmail, InvalidName,
                    BirthDateMissing, BirthDateMismatch, WeakPassword, AlreadyRegistered, Underage,
                    HashingBusy)),
    Route("GET", "/v1/me", me, returns=UserView, refusals=(SessionEnded,)),
    Route("GET", "/internal/holders/{id}", holder, returns=HolderView, auth="none", refusals=(SessionEnded,)),
)  # fmt: skip
