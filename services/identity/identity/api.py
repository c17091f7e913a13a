"""Identity over HTTP: handlers that read, call and reply, and the routes as data."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, PRINCIPAL, Body, Role, Route, View, read, reply
from common.idempotency import Answer, fingerprint
from pydantic import Field, SecretStr

from identity.domain import (
    AlreadyRegistered,
    Applicant,
    BadCredentials,
    BirthDateMismatch,
    Curp,
    Email,
    FullName,
    InvalidCurp,
    InvalidEmail,
    InvalidName,
    SessionEnded,
    Underage,
    User,
    UserId,
    WeakPassword,
)
from identity.passwords import HashingBusy
from identity.service import Access, Accounts, Registration
from identity.sessions import SessionsUnavailable
from identity.tokens import Audience, PublicKey

ACCOUNTS = web.AppKey("accounts", Accounts)
ACCESS = web.AppKey("access", Access)
PUBLIC_KEY = web.AppKey("public_key", PublicKey)

# What the wire takes in before any rule is applied; the rules are narrower.
ShortText = Annotated[str, Field(max_length=254)]
Secret = Annotated[SecretStr, Field(max_length=1024)]


class RegisterRequest(Body):
    """A new bettor. `birth_date` may be left out; if given it must be the CURP's."""

    curp: Annotated[ShortText, Field(examples=["BOXW310820HNERXN09"])]
    full_name: ShortText
    email: ShortText
    password: Annotated[Secret, Field(description="8 to 128 characters, not one that attackers try first.")]
    birth_date: date | None = None

    def applicant(self) -> Applicant:
        """Raises InvalidCurp, InvalidEmail, InvalidName."""
        return Applicant(
            Curp.parse(self.curp), Email.parse(self.email), FullName.parse(self.full_name), self.birth_date
        )


class LoginRequest(Body):
    email: ShortText
    password: Secret


class TokenRequest(Body):
    session: Secret
    audience: Audience


class UserView(View):
    id: UUID
    email: str
    full_name: str
    curp: str
    birth_date: date
    role: Role
    registered_at: datetime

    @classmethod
    def of(cls, user: User) -> "UserView":
        return cls(
            id=user.id,
            email=user.email.value,
            full_name=user.full_name.value,
            curp=user.curp.value,
            birth_date=user.birth_date,
            role=user.role,
            registered_at=user.registered_at,
        )


class SessionView(View):
    """`session` is the bearer credential, told this once. It ends at `expires_at`, or earlier when unused."""

    session: str
    expires_at: datetime


class TokenView(View):
    """An internal token and whom it names, so that the gateway need not open it."""

    token: str
    expires_in: Annotated[int, Field(description="Seconds.")]
    subject: UUID
    role: Role


class KeyView(View):
    """One public key of a JWK set (RFC 8037)."""

    kid: str
    x: str
    kty: str = "OKP"
    crv: str = "Ed25519"
    alg: str = "EdDSA"
    use: str = "sig"


class KeySetView(View):
    keys: tuple[KeyView, ...]


async def register(request: web.Request) -> web.Response:
    """Register as a bettor.

    One person, one account: the CURP and the e-mail must be new. Only adults are admitted.
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


async def login(request: web.Request) -> web.Response:
    """Log in and get a session."""
    wanted = await read(request, LoginRequest)
    started = await request.app[ACCESS].login(wanted.email, wanted.password.get_secret_value())
    view = SessionView(session=started.secret, expires_at=started.session.ends)
    return reply(view, headers={"Cache-Control": "no-store"})


async def logout(request: web.Request) -> web.Response:
    """End the session this request was made with."""
    principal = request[PRINCIPAL]
    if principal.session is not None:
        await request.app[ACCESS].logout(UserId(UUID(principal.subject)), UUID(principal.session))
    return reply(None)


async def me(request: web.Request) -> web.Response:
    """Who the session belongs to."""
    user = await request.app[ACCOUNTS].user(UserId(UUID(request[PRINCIPAL].subject)))
    return reply(UserView.of(user))


async def exchange(request: web.Request) -> web.Response:
    """Exchange a session for a token to one service. Internal: the gateway alone calls it."""
    wanted = await read(request, TokenRequest)
    issued = await request.app[ACCESS].token(wanted.session.get_secret_value(), wanted.audience)
    view = TokenView(
        token=issued.token,
        expires_in=issued.expires_in_seconds,
        subject=issued.session.user,
        role=issued.session.role,
    )
    return reply(view, headers={"Cache-Control": "no-store"})


async def jwks(request: web.Request) -> web.Response:
    """The keys that verify identity's tokens."""
    key = request.app[PUBLIC_KEY]
    view = KeySetView(keys=(KeyView(kid=key.key_id, x=key.x),))
    return reply(view, headers={"Cache-Control": "public, max-age=60"})


def _registered(user: User) -> Answer:
    return Answer.of(UserView.of(user), status=201, resource=str(user.id))


ROUTES = (
    Route("POST", "/v1/register", register, body=RegisterRequest, returns=UserView, status=201,
          auth="none", idempotent=True,
          refusals=(InvalidCurp, InvalidEmail, InvalidName, BirthDateMismatch, WeakPassword,
                    AlreadyRegistered, Underage, HashingBusy)),
    Route("POST", "/v1/login", login, body=LoginRequest, returns=SessionView, auth="none",
          refusals=(BadCredentials, HashingBusy, SessionsUnavailable)),
    Route("POST", "/v1/logout", logout, status=204, refusals=(SessionsUnavailable,)),
    Route("GET", "/v1/me", me, returns=UserView, refusals=(SessionEnded,)),
    Route("POST", "/internal/token", exchange, body=TokenRequest, returns=TokenView, auth="none",
          refusals=(SessionEnded, SessionsUnavailable)),
    Route("GET", "/.well-known/jwks.json", jwks, returns=KeySetView, auth="none"),
)  # fmt: skip
