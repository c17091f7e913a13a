"""Sessions in Redis: the client holds an opaque 256-bit secret, we hold its SHA-256 and two deadlines.

A session's name (`sid`) is taken from the digest, so it finds the session without a second index, and
from neither can a secret of 256 random bits be found. Redis's own clock decides every expiry. When Redis
does not answer, nobody is let in.
"""

import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from common.errors import NotFound, Unavailable
from common.redis import TROUBLE
from common.roles import Role
from redis.asyncio import Redis

from identity.domain.people import SessionEnded, User, UserId

SECRET_BYTES: Final = 32
SECRET_PATTERN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
RETRY_AFTER_SECONDS: Final = 2
MOST_SESSIONS: Final = 20
"""Of one person; the oldest ends when another begins."""
FIELDS: Final = ("user", "role", "ends", "started", "proved", "address", "agent", "proof")

# KEYS: the session, its owner's index. ARGV: sid, digest, user, role, idle, absolute, address, agent, the most
# sessions, the proof's version. Answers the absolute deadline, now, and the sids that had to go.
START: Final = """
local now = tonumber(redis.call('TIME')[1])
local idle, absolute = tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'digest', ARGV[2], 'user', ARGV[3], 'role', ARGV[4], 'idle', idle,
  'ends', now + absolute, 'started', now, 'proved', now, 'address', ARGV[7], 'agent', ARGV[8], 'proof', ARGV[10])
redis.call('EXPIRE', KEYS[1], math.min(idle, absolute))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + absolute, ARGV[1])
redis.call('EXPIRE', KEYS[2], math.max(absolute, redis.call('TTL', KEYS[2])))
local answer = {now + absolute, now}
for _, sid in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - tonumber(ARGV[9]))) do
  if redis.call('DEL', 'identity:session:' .. sid) == 1 then table.insert(answer, sid) end
  redis.call('ZREM', KEYS[2], sid)
end
return answer
"""

# Being used puts the idle deadline off, never past the absolute one.
RESUME: Final = """
local session = redis.call('HMGET', KEYS[1], 'user', 'role', 'ends', 'started', 'proved', 'address', 'agent',
  'digest', 'idle', 'proof')
if session[8] ~= ARGV[1] or not session[9] or not session[10] then return nil end
local left = tonumber(session[3]) - tonumber(redis.call('TIME')[1])
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return nil
end
redis.call('EXPIRE', KEYS[1], math.min(tonumber(session[9]), left))
return {session[1], session[2], session[3], session[4], session[5], session[6], session[7], session[10]}
"""

# The session under another secret, proved anew; the old secret opens nothing any more. KEYS: old, new, index. ARGV: both
# sids, the digest, the proof's version.
RENEW: Final = """
if redis.call('EXISTS', KEYS[1]) == 0 then return nil end
local now = tonumber(redis.call('TIME')[1])
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[2], 'digest', ARGV[3], 'proved', now, 'proof', ARGV[4])
redis.call('ZADD', KEYS[3], redis.call('HGET', KEYS[2], 'ends'), ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('HMGET', KEYS[2], 'user', 'role', 'ends', 'started', 'proved', 'address', 'agent', 'proof')
"""

# Ends one of somebody's sessions. KEYS: the session, its owner's index. ARGV: sid. Answers whether it was live.
END: Final = """
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
return redis.call('DEL', KEYS[1])
"""

# Ends all of somebody's sessions but one (ARGV[1], may be empty). KEYS: the index. Answers the sids ended.
END_ALL: Final = """
local ended = {}
for _, sid in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if sid ~= ARGV[1] then
    if redis.call('DEL', 'identity:session:' .. sid) == 1 then table.insert(ended, sid) end
    redis.call('ZREM', KEYS[1], sid)
  end
end
return ended
"""


# No session of somebody's lasts longer than ARGV[1] seconds from its start. KEYS: the index. Answers the sids that
# have lasted that long already: they end now.
SHORTEN: Final = """
local now, most = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1])
local ended = {}
for _, sid in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local key = 'identity:session:' .. sid
  local times = redis.call('HMGET', key, 'started', 'ends')
  local ends = times[1] and tonumber(times[1]) + most
  if ends and ends <= now then
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[1], sid)
    table.insert(ended, sid)
  elseif ends and ends < tonumber(times[2]) then
    redis.call('HSET', key, 'ends', ends)
    redis.call('EXPIRE', key, math.min(ends - now, redis.call('TTL', key)))
    redis.call('ZADD', KEYS[1], ends, sid)
  end
end
return ended
"""


class SessionsUnavailable(Unavailable):
    """Redis does not answer, so no session can be started, found or ended: nobody is let in."""

    slug = "sessions-unavailable"
    title = "Sessions are unavailable"


class NoSuchSession(NotFound):
    slug = "no-such-session"
    title = "There is no such session"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts unused, and whatever happens."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a session was started from, for its owner to recognise. Said by the client, so never trusted."""

    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A live session. `ends` is its absolute deadline, `proved` when its holder last proved who they are, and `proof` the
    version of what they proved it by: the session is void once their account has a later one."""

    sid: UUID
    user: UserId
    role: Role
    ends: datetime
    started: datetime
    proved: datetime
    proof: int
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True)
class StartedSession:
    """A new session with its secret, which is told once and kept nowhere; and which it pushed out."""

    secret: str = field(repr=False)
    session: Session
    pushed_out: tuple[UUID, ...] = ()


class Sessions:
    """The one place that reads and writes sessions."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._start = redis.register_script(START)
        self._resume = redis.register_script(RESUME)
        self._renew = redis.register_script(RENEW)
        self._end = redis.register_script(END)
        self._end_all = redis.register_script(END_ALL)
        self._shorten = redis.register_script(SHORTEN)

    async def start(self, user: User, lifetime: Lifetime, origin: Origin = Origin()) -> StartedSession:
        """Open a session with a fresh secret. Raises SessionsUnavailable."""
        secret, digest, sid = _fresh()
        idle, absolute = int(lifetime.idle.total_seconds()), int(lifetime.absolute.total_seconds())
        arguments: list[str | bytes | int] = [str(sid), digest, str(user.id), user.role.value, idle, absolute]
        async with _or_unavailable():
            ends, now, *gone = await self._start(
                keys=[_key(sid), _index(user.id)],
                args=[*arguments, origin.address, origin.agent, MOST_SESSIONS, user.proof],
            )
        started = _moment(now)
        session = Session(sid, user.id, user.role, _moment(ends), started, started, user.proof, origin)
        return StartedSession(secret, session, tuple(_sid(each) for each in gone))

    async def resume(self, secret: str) -> Session:
        """The live session this secret opens, its idle deadline put off.

        Raises SessionEnded, SessionsUnavailable.
        """
        if SECRET_PATTERN.fullmatch(secret) is None:
            raise SessionEnded("There is no such session.")
        digest = _digest(secret)
        sid = _name(digest)
        async with _or_unavailable():
            found = await self._resume(keys=[_key(sid)], args=[digest])
        if found is None:
            raise SessionEnded("The session ran out or was ended.")
        return _session(sid, found)

    async def renew(self, user: UserId, sid: UUID, proof: int) -> StartedSession:
        """The same session under a fresh secret, after its holder has proved themselves again, by that version of proof.

        Raises SessionEnded, SessionsUnavailable.
        """
        secret, digest, new = _fresh()
        async with _or_unavailable():
            found = await self._renew(
                keys=[_key(sid), _key(new), _index(user)], args=[str(sid), str(new), digest, proof]
            )
        if found is None:
            raise SessionEnded("The session ran out or was ended.")
        return StartedSession(secret, _session(new, found), (sid,))

    async def end(self, user: UserId, sid: UUID) -> bool:
        """End one of a person's sessions. Whether it was live; ending it again changes nothing.

        Raises SessionsUnavailable.
        """
        async with _or_unavailable():
            return bool(await self._end(keys=[_key(sid), _index(user)], args=[str(sid)]))

    async def end_all(self, user: UserId, *, but: UUID | None = None) -> tuple[UUID, ...]:
        """End all of a person's sessions; gives those that were live. Raises SessionsUnavailable."""
        async with _or_unavailable():
            ended = await self._end_all(keys=[_index(user)], args=["" if but is None else str(but)])
        return tuple(_sid(each) for each in ended)

    async def shorten(self, user: UserId, most: timedelta) -> tuple[UUID, ...]:
        """Let none of a person's sessions last longer than that from its start; gives those that ended by it.

        Raises SessionsUnavailable.
        """
        async with _or_unavailable():
            ended = await self._shorten(keys=[_index(user)], args=[int(most.total_seconds())])
        return tuple(_sid(each) for each in ended)

    async def of(self, user: UserId) -> tuple[Session, ...]:
        """A person's live sessions, newest first. Raises SessionsUnavailable."""
        async with _or_unavailable():
            named = await self._redis.zrange(_index(user), 0, -1)
            sids = [_sid(each) for each in named]
            async with self._redis.pipeline(transaction=False) as asking:
                for sid in sids:
                    asking.hmget(_key(sid), list(FIELDS))
                answers = await asking.execute()
        live = [_session(sid, each) for sid, each in zip(sids, answers, strict=True) if None not in each]
        return tuple(sorted(live, key=lambda each: each.started, reverse=True))


def _fresh() -> tuple[str, bytes, UUID]:
    secret = secrets.token_urlsafe(SECRET_BYTES)
    digest = _digest(secret)
    return secret, digest, _name(digest)


def _session(sid: UUID, found: Sequence[bytes]) -> Session:
    user, role, ends, started, proved, address, agent, proof = (bytes(each).decode() for each in found)
    return Session(
        sid,
        UserId(UUID(user)),
        Role(role),
        _moment(ends),
        _moment(started),
        _moment(proved),
        int(proof),
        Origin(address, agent),
    )


def _sid(raw: object) -> UUID:
    return UUID(raw.decode() if isinstance(raw, bytes) else str(raw))


def _moment(seconds: int | str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _name(digest: bytes) -> UUID:
    """A UUID as random as the secret is."""
    return UUID(bytes=digest[:16], version=4)


def _key(sid: UUID) -> str:
    return f"identity:session:{sid}"


def _index(user: UserId) -> str:
    return f"identity:sessions-of:{user}"


@asynccontextmanager
async def _or_unavailable() -> AsyncIterator[None]:
    try:
        yield
    except TROUBLE as error:
        raise SessionsUnavailable("Sessions cannot be read now.", retry_after=RETRY_AFTER_SECONDS) from error
