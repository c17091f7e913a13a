"""Sessions in Redis: the client holds an opaque 256-bit secret, we hold its SHA-256 and two deadlines.

A session's name (`sid`) is taken from the digest, so it finds the session without a second index, and
from neither can a secret of 256 random bits be found. Redis's own clock decides every expiry. When Redis
does not answer, nobody is let in.
"""

import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from common.errors import Unavailable
from common.redis import TROUBLE
from common.roles import Role
from redis.asyncio import Redis

from identity.domain import SessionEnded, User, UserId

SECRET_BYTES = 32
SECRET_PATTERN = re.compile(r"[A-Za-z0-9_-]{43}")
RETRY_AFTER_SECONDS = 2

START = """
local now = tonumber(redis.call('TIME')[1])
local idle, absolute = tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'user', ARGV[2], 'role', ARGV[3], 'ends', now + absolute)
redis.call('EXPIRE', KEYS[1], math.min(idle, absolute))
return now + absolute
"""

# Being used puts the idle deadline off, never past the absolute one.
RESUME = """
local session = redis.call('HMGET', KEYS[1], 'user', 'role', 'ends', 'digest')
if session[4] ~= ARGV[1] then return nil end
local left = tonumber(session[3]) - tonumber(redis.call('TIME')[1])
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return nil
end
redis.call('EXPIRE', KEYS[1], math.min(tonumber(ARGV[2]), left))
return {session[1], session[2], session[3]}
"""


class SessionsUnavailable(Unavailable):
    """Redis does not answer, so no session can be started, found or ended: nobody is let in."""

    slug = "sessions-unavailable"
    title = "Sessions are unavailable"


@dataclass(frozen=True, slots=True)
class Session:
    """Who a live session belongs to. `ends` is its absolute deadline."""

    sid: UUID
    user: UserId
    role: Role
    ends: datetime


@dataclass(frozen=True, slots=True)
class StartedSession:
    """A new session with its secret, which is told once and kept nowhere."""

    secret: str = field(repr=False)
    session: Session


class Sessions:
    """The one place that reads and writes sessions."""

    def __init__(self, redis: Redis, *, idle: timedelta, absolute: timedelta) -> None:
        self._redis = redis
        self._idle_seconds = int(idle.total_seconds())
        self._absolute_seconds = int(absolute.total_seconds())
        self._start = redis.register_script(START)
        self._resume = redis.register_script(RESUME)

    async def start(self, user: User) -> StartedSession:
        """Open a session with a fresh secret. Raises SessionsUnavailable."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        digest = _digest(secret)
        sid = _name(digest)
        async with _or_unavailable():
            ends = await self._start(
                keys=[_key(sid)],
                args=[digest, str(user.id), user.role.value, self._idle_seconds, self._absolute_seconds],
            )
        return StartedSession(
            secret, Session(sid, user.id, user.role, datetime.fromtimestamp(int(ends), UTC))
        )

    async def resume(self, secret: str) -> Session:
        """The live session this secret opens, its idle deadline put off.

        Raises SessionEnded, SessionsUnavailable.
        """
        if SECRET_PATTERN.fullmatch(secret) is None:
            raise SessionEnded("There is no such session.")
        digest = _digest(secret)
        sid = _name(digest)
        async with _or_unavailable():
            found = await self._resume(keys=[_key(sid)], args=[digest, self._idle_seconds])
        if found is None:
            raise SessionEnded("The session ran out or was ended.")
        user, role, ends = (bytes(value).decode() for value in found)
        return Session(sid, UserId(UUID(user)), Role(role), datetime.fromtimestamp(int(ends), UTC))

    async def end(self, sid: UUID) -> bool:
        """End a session. Whether it was live; ending it again changes nothing. Raises SessionsUnavailable."""
        async with _or_unavailable():
            return bool(await self._redis.delete(_key(sid)))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _name(digest: bytes) -> UUID:
    """A UUID as random as the secret is."""
    return UUID(bytes=digest[:16], version=4)


def _key(sid: UUID) -> str:
    return f"identity:session:{sid}"


@asynccontextmanager
async def _or_unavailable() -> AsyncIterator[None]:
    try:
        yield
    except TROUBLE as error:
        raise SessionsUnavailable("Sessions cannot be read now.", retry_after=RETRY_AFTER_SECONDS) from error
