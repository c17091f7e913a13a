"""Logging in and out, one's sessions, and what the other services are given for them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.http import Body, Role, Route, View, read, reply
from common.rate_limits import LimiterUnavailable, RateLimited
from contracts.identity import RevocationReason
from pydantic import Field

from identity.api.parts import (
    ACCESS,
    KEYRING,
    NO_STORE,
    OneTimeCode,
    Secret,
    ShortText,
    caller,
    id_in_path,
    origin_of,
    session_of,
)
from identity.domain.passwords import BadCredentials
from identity.domain.people import AccountClosed, SessionEnded
from identity.passwords import HashingBusy
from identity.sessions import NoSuchSession, Session, SessionsUnavailable, StartedSession
from identity.tokens import Audience
from identity.totp import BadCode, CodeRequired, CodeUsed, SecondFactorMissing

SECOND_FACTOR = (CodeRequired, BadCode, CodeUsed, SecondFactorMissing)
TOO_MANY_GUESSES = (RateLimited, LimiterUnavailable)


class LoginRequest(Body):
    """`code` is that of the authenticator, which staff have."""

    email: ShortText
    password: Secret
    code: OneTimeCode | None = None


class StepUpRequest(Body):
    """Who is logged in already, once more."""

    password: Secret
    code: OneTimeCode | None = None


class TokenRequest(Body):
    session: Secret
    audience: Audience


class SessionView(View):
    """`session` is the bearer credential, told this once. It ends at `expires_at`, or earlier when unused."""

    session: str
    expires_at: datetime

    @classmethod
    def of(cls, started: StartedSession) -> "SessionView":
        return cls(session=started.secret, expires_at=started.session.ends)


class LiveSessionView(View):
    """A live session of one's own. `address` and `agent` are what the client said of itself."""

    id: UUID
    started_at: datetime
    proved_at: datetime
    expires_at: datetime
    address: str
    agent: str
    current: Annotated[bool, Field(description="Whether this request was made with it.")]

    @classmethod
    def of(cls, session: Session, *, current: UUID) -> "LiveSessionView":
        return cls(
            id=session.sid,
            started_at=session.started,
            proved_at=session.proved,
            expires_at=session.ends,
            address=session.origin.address,
            agent=session.origin.agent,
            current=session.sid == current,
        )


class LiveSessionsView(View):
    items: tuple[LiveSessionView, ...]


class RevokedView(View):
    revoked: Annotated[int, Field(description="How many sessions were ended.")]


class TokenView(View):
    """An internal token and whom it names, so that the gateway need not open it."""

    token: str
    expires_in: Annotated[int, Field(description="Seconds.")]
    subject: UUID
    role: Role
    session: UUID
    started_at: datetime


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


async def login(request: web.Request) -> web.Response:
    """Log in and get a session."""
    wanted = await read(request, LoginRequest)
    code = None if wanted.code is None else wanted.code.get_secret_value()
    started = await request.app[ACCESS].login(
        wanted.email, wanted.password.get_secret_value(), code, origin_of(request)
    )
    return reply(SessionView.of(started), headers=NO_STORE)


async def step_up(request: web.Request) -> web.Response:
    """Prove again who one is, for a dangerous act.

    The session goes on under a new secret; the old one opens nothing any more.
    """
    wanted = await read(request, StepUpRequest)
    code = None if wanted.code is None else wanted.code.get_secret_value()
    renewed = await request.app[ACCESS].step_up(
        caller(request), session_of(request), wanted.password.get_secret_value(), code
    )
    return reply(SessionView.of(renewed), headers=NO_STORE)


async def logout(request: web.Request) -> web.Response:
    """End the session this request was made with."""
    await request.app[ACCESS].logout(caller(request), session_of(request))
    return reply(None)


async def sessions(request: web.Request) -> web.Response:
    """One's live sessions, newest first."""
    found = await request.app[ACCESS].sessions(caller(request))
    current = session_of(request)
    view = LiveSessionsView(items=tuple(LiveSessionView.of(each, current=current) for each in found))
    return reply(view, headers=NO_STORE)


async def revoke_session(request: web.Request) -> web.Response:
    """End one of one's sessions."""
    sid = id_in_path(request, "session_id")
    if sid is None:
        raise NoSuchSession("You have no such session.")
    await request.app[ACCESS].revoke(caller(request), sid)
    return reply(None)


async def revoke_sessions(request: web.Request) -> web.Response:
    """End all of one's sessions, this one too."""
    count = await request.app[ACCESS].revoke_all(caller(request), RevocationReason.REVOKED)
    return reply(RevokedView(revoked=count))


async def exchange(request: web.Request) -> web.Response:
    """Exchange a session for a token to one service. Internal: the gateway alone calls it."""
    wanted = await read(request, TokenRequest)
    issued = await request.app[ACCESS].token(wanted.session.get_secret_value(), wanted.audience)
    view = TokenView(
        token=issued.token,
        expires_in=issued.expires_in_seconds,
        subject=issued.session.user,
        role=issued.session.role,
        session=issued.session.sid,
        started_at=issued.session.started,
    )
    return reply(view, headers=NO_STORE)


async def jwks(request: web.Request) -> web.Response:
    """The keys that verify identity's tokens."""
    shown = request.app[KEYRING].shown()
    view = KeySetView(keys=tuple(KeyView(kid=key.key_id, x=key.x) for key in shown))
    return reply(view, headers={"Cache-Control": "public, max-age=60"})


ROUTES = (
    Route("POST", "/v1/login", login, body=LoginRequest, returns=SessionView, auth="none",
          refusals=(BadCredentials, AccountClosed, *SECOND_FACTOR, *TOO_MANY_GUESSES, HashingBusy,
                    SessionsUnavailable)),
    Route("POST", "/v1/step-up", step_up, body=StepUpRequest, returns=SessionView,
          refusals=(BadCredentials, SessionEnded, *SECOND_FACTOR, *TOO_MANY_GUESSES, HashingBusy,
                    SessionsUnavailable)),
    Route("POST", "/v1/logout", logout, status=204, refusals=(SessionsUnavailable,)),
    Route("GET", "/v1/sessions", sessions, returns=LiveSessionsView, refusals=(SessionsUnavailable,)),
    Route("DELETE", "/v1/sessions/{session_id}", revoke_session, status=204,
          refusals=(NoSuchSession, SessionsUnavailable)),
    Route("DELETE", "/v1/sessions", revoke_sessions, returns=RevokedView, refusals=(SessionsUnavailable,)),
    Route("POST", "/internal/token", exchange, body=TokenRequest, returns=TokenView, auth="none",
          refusals=(SessionEnded, SessionsUnavailable)),
    Route("GET", "/.well-known/jwks.json", jwks, returns=KeySetView, auth="none"),
)  # fmt: skip
