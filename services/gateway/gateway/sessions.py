"""Sessions as the gateway sees them: a secret it exchanges for internal tokens and forgets soon.

A token is kept at most `keep_seconds`, under the session's SHA-256 and its audience: see `keeping`. A log-out here
forgets at once; one that happened elsewhere is told by a revocation notice. While those cannot be heard nothing is kept.
"""

import hashlib
import re
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from time import monotonic
from typing import TypeAlias
from uuid import UUID

from aiohttp import web
from common.client import RemoteProblem, ServiceClient, Unreachable
from common.errors import Unauthenticated, Unavailable
from common.http import bearer
from common.roles import Role
from pydantic import BaseModel, Field

from gateway.domain import Service
from gateway.keeping import Fresh, Keeping

SECRET_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
RETRY_AFTER_SECONDS = 2
# A token is not used in its last moments: it must still be valid when the upstream looks at it.
MARGIN_SECONDS = 5.0
REVOKED_REMEMBERED = 10_000


class NoSession(Unauthenticated):
    slug = "session-ended"
    title = "The session has ended, log in again"


class SessionsUnavailable(Unavailable):
    """Identity does not answer, so nobody's session can be checked: nobody is let in."""

    slug = "sessions-unavailable"
    title = "Sessions are unavailable"


class TokenRequest(BaseModel):
    """What identity is asked."""

    session: str = Field(repr=False)
    audience: Service


class TokenView(BaseModel):
    """What identity answers to an exchange."""

    token: str = Field(repr=False)
    expires_in: int
    subject: UUID
    role: Role
    session: UUID
    started_at: datetime


@dataclass(frozen=True, slots=True)
class InternalToken:
    """A token to one service, and whom it names."""

    token: str = field(repr=False)
    subject: str
    role: Role
    session: UUID
    started_at: datetime


def session_secret(request: web.Request) -> str:
    """The session in the Authorization header. Raises NoSession for anything that cannot be one."""
    if len(request.headers.getall("Authorization", ())) > 1:
        raise NoSession("Send one Authorization header.", field="Authorization")
    secret = bearer(request)
    if SECRET_PATTERN.fullmatch(secret) is None:
        raise NoSession("This is not a session.", field="Authorization")
    return secret


class TokenExchange:
    """Internal tokens for sessions: asked of identity, kept for a moment, bounded in number."""

    def __init__(
        self,
        identity: ServiceClient,
        *,
        keep_seconds: float,
        capacity: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """At most `capacity` tokens are kept."""
        self._identity = identity
        self._keep_seconds = keep_seconds
        self._tokens: Keeping[_Name, InternalToken] = Keeping(
            capacity=capacity, clock=clock, may_keep=self._may_keep, dropped=self._dropped
        )
        self._names: dict[UUID, set[_Name]] = defaultdict(set)
        self._revoked: OrderedDict[UUID, None] = OrderedDict()

    async def token_for(self, secret: str, service: Service) -> InternalToken:
        """A token to one service for the holder of a session. Raises NoSession, SessionsUnavailable."""
        return await self._tokens.get((name_of(secret), service), lambda: self._ask(secret, service))

    def keeps(self, secret: str, service: Service) -> bool:
        """Whether identity need not be asked now."""
        return self._tokens.keeps((name_of(secret), service))

    def forget(self, secret: str) -> None:
        """Drop a session's tokens, also those being asked for: they answer who waits and are not kept."""
        name = name_of(secret)
        for service in Service:
            self._tokens.forget((name, service))

    def forget_session(self, session: UUID) -> None:
        """A session has been revoked somewhere: drop its tokens, also one that is on its way here."""
        self._revoked[session] = None
        if len(self._revoked) > REVOKED_REMEMBERED:
            self._revoked.popitem(last=False)
        for name in tuple(self._names.get(session, ())):
            self._tokens.forget(name)

    def remember(self, yes: bool) -> None:
        """Whether tokens are kept at all: not while revocations cannot be heard."""
        self._tokens.remember(yes)

    def _may_keep(self, name: "_Name", token: InternalToken) -> bool:
        if token.session in self._revoked:
            return False
        self._names[token.session].add(name)
        return True

    def _dropped(self, name: "_Name", token: InternalToken) -> None:
        self._names[token.session].discard(name)
        if not self._names[token.session]:
            del self._names[token.session]

    async def _ask(self, secret: str, service: Service) -> Fresh[InternalToken]:
        wanted = TokenRequest(session=secret, audience=service)
        try:
            told = await self._identity.post("/internal/token", wanted, TokenView)
        except RemoteProblem as refusal:
            if refusal.status == HTTPStatus.UNAUTHORIZED:
                raise NoSession("The session ran out or was ended.", field="Authorization") from None
            raise SessionsUnavailable(
                "Sessions cannot be checked now.", retry_after=refusal.retry_after or RETRY_AFTER_SECONDS
            ) from refusal
        except Unreachable as error:
            raise SessionsUnavailable(
                "Sessions cannot be checked now.", retry_after=RETRY_AFTER_SECONDS
            ) from error
        token = InternalToken(told.token, str(told.subject), told.role, told.session, told.started_at)
        return Fresh(token, min(self._keep_seconds, told.expires_in - MARGIN_SECONDS))


_Name: TypeAlias = tuple[str, Service]
"""A session's name and the service that its token is for."""


def name_of(secret: str) -> str:
    """What a session is kept under: not the secret itself."""
    return hashlib.sha256(secret.encode()).hexdigest()
