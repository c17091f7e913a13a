"""Sessions as the gateway sees them: a secret it exchanges for internal tokens and forgets soon.

A token is kept at most `keep_seconds`, under the session's SHA-256 and its audience. Requests that need the
same token at the same time wait for one exchange. A log-out here forgets at once; one that happened elsewhere
is told by a revocation notice. While those cannot be heard nothing is kept.
"""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from time import monotonic
from uuid import UUID

from aiohttp import web
from common.client import RemoteProblem, ServiceClient, Unreachable
from common.errors import Unauthenticated, Unavailable
from common.http import bearer
from common.roles import Role
from pydantic import BaseModel, Field

from gateway.domain import Service

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
    """A token to one service, whom it names, and until when (on the loop's clock) it is used again."""

    token: str = field(repr=False)
    subject: str
    role: Role
    session: UUID
    started_at: datetime
    use_until: float


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
        """At most `capacity` sessions are remembered, the least recently used goes first."""
        self._identity = identity
        self._keep_seconds = keep_seconds
        self._capacity = capacity
        self._clock = clock
        self._kept: OrderedDict[str, dict[Service, InternalToken]] = OrderedDict()
        self._names: dict[UUID, str] = {}
        self._revoked: OrderedDict[UUID, None] = OrderedDict()
        self._remembers = True
        self._asking: dict[tuple[str, Service], asyncio.Task[InternalToken]] = {}

    async def token_for(self, secret: str, service: Service) -> InternalToken:
        """A token to one service for the holder of a session. Raises NoSession, SessionsUnavailable."""
        name = name_of(secret)
        kept = self._kept.get(name, {}).get(service)
        if kept is not None and self._clock() < kept.use_until:
            self._kept.move_to_end(name)
            return kept
        asking = self._asking.get((name, service))
        if asking is None:
            asking = self._asking[name, service] = asyncio.create_task(self._ask(secret, service))
            asking.add_done_callback(lambda done: self._asked(name, service, done))
        return await asyncio.shield(asking)

    def forget(self, secret: str) -> None:
        """Drop a session's tokens, also those being asked for: they answer who waits and are not kept."""
        name = name_of(secret)
        self._drop(name)
        for service in Service:
            self._asking.pop((name, service), None)

    def forget_session(self, session: UUID) -> None:
        """A session has been revoked somewhere: drop its tokens, also one that is on its way here."""
        self._revoked[session] = None
        if len(self._revoked) > REVOKED_REMEMBERED:
            self._revoked.popitem(last=False)
        name = self._names.get(session)
        if name is not None:
            self._drop(name)

    def remember(self, yes: bool) -> None:
        """Whether tokens are kept at all: not while revocations cannot be heard."""
        self._remembers = yes
        if not yes:
            self._kept.clear()
            self._names.clear()

    def _drop(self, name: str) -> None:
        for token in self._kept.pop(name, {}).values():
            self._names.pop(token.session, None)

    async def _ask(self, secret: str, service: Service) -> InternalToken:
        asked_at = self._clock()
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
        good_for = min(self._keep_seconds, told.expires_in - MARGIN_SECONDS)
        return InternalToken(
            told.token, str(told.subject), told.role, told.session, told.started_at, asked_at + good_for
        )

    def _asked(self, name: str, service: Service, done: asyncio.Task[InternalToken]) -> None:
        """Keep what identity answered, unless the session was forgotten meanwhile."""
        failed = done.cancelled() or done.exception() is not None
        if self._asking.get((name, service)) is not done:
            return
        del self._asking[name, service]
        if failed or not self._remembers or done.result().session in self._revoked:
            return
        self._kept.setdefault(name, {})[service] = done.result()
        self._names[done.result().session] = name
        self._kept.move_to_end(name)
        if len(self._kept) > self._capacity:
            self._drop(next(iter(self._kept)))


def name_of(secret: str) -> str:
    """What a session is kept under: not the secret itself."""
    return hashlib.sha256(secret.encode()).hexdigest()
