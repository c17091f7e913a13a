"""Rate limits by the generic cell rate algorithm (GCRA): one number per key, one script, Redis's clock.

A request may be counted against several keys at once (its account, device and address). It passes only if
all of them let it; a refused request uses nothing up. While Redis does not answer, a limit either refuses
everybody (a guesser of passwords must not profit from an outage) or counts in this process alone.
"""

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic_ns
from typing import Final

from aiohttp import web
from prometheus_client import Counter
from redis.asyncio import Redis

from common.errors import TooMany, Unavailable
from common.redis import TROUBLE

log = logging.getLogger(__name__)

MICROS: Final = 1_000_000
LOCAL_KEYS: Final = 50_000
"""Keys that are counted in this process at most; the least recently used is forgotten first."""

# Each key holds the theoretical arrival time: when its next request would come at the steady rate.
# ARGV, a pair per key: what one request takes up, and how far ahead of the rate one may run, in
# microseconds. Answers the microseconds to wait (0: passed), then how far ahead each key is. A key that is further
# ahead than it can come by itself was written by another clock (it has been put back since) or under another limit:
# it begins anew, or its owner would be locked out for as long as the clock was wrong.
GCRA: Final = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local arrivals, answer, longest = {}, {0}, 0
for i, key in ipairs(KEYS) do
  arrivals[i] = math.max(now, tonumber(redis.call('GET', key) or '0'))
  if arrivals[i] - now > tonumber(ARGV[2 * i - 1]) + tonumber(ARGV[2 * i]) then arrivals[i] = now end
  answer[i + 1] = arrivals[i] - now
  longest = math.max(longest, arrivals[i] - now - tonumber(ARGV[2 * i]))
end
if longest > 0 then
  answer[1] = longest
  return answer
end
for i, key in ipairs(KEYS) do
  local arrival = arrivals[i] + tonumber(ARGV[2 * i - 1])
  redis.call('SET', key, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
  answer[i + 1] = arrival - now
end
return answer
"""

REFUSED: Final = Counter("rate_limit_refused", "Requests over a rate limit.", ("limit",))
BLIND: Final = Counter(
    "rate_limit_blind", "Requests judged while the limiter's store did not answer.", ("limit",)
)


class WhenBlind(StrEnum):
    """What a limit does while its store does not answer."""

    REFUSE = "refuse"
    COUNT_HERE = "count here"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A steady rate with a burst on top, per key. `name` is one word and tells the limit from others."""

    name: str
    per_second: float
    burst: int
    when_blind: WhenBlind

    @property
    def interval_micros(self) -> int:
        """The time one request takes up, rounded up so that the rate is never exceeded."""
        return -int(-MICROS // self.per_second)

    @property
    def tolerance_micros(self) -> int:
        """How far ahead of the steady rate a key may run."""
        return self.interval_micros * (self.burst - 1)


@dataclass(frozen=True, slots=True)
class Charge:
    """One request counted against one key of one limit."""

    limit: RateLimit
    key: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands after a request: what is left of its burst, and in how many seconds all of it is back."""

    limit: RateLimit
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """The RateLimit headers of draft-ietf-httpapi-ratelimit-headers: the policy and the present state."""
        window = _up(self.limit.interval_micros * self.limit.burst, MICROS)
        return {
            "RateLimit-Policy": f'"{self.limit.name}";q={self.limit.burst};w={window}',
            "RateLimit": f'"{self.limit.name}";r={self.remaining};t={self.reset_seconds}',
        }


class RateLimited(TooMany):
    """Over a limit. `standing` says which and where the key stands."""

    slug = "rate-limited"
    title = "Too many requests"

    def __init__(self, standing: Standing, *, retry_after: int) -> None:
        super().__init__("Too many requests, slow down.", retry_after=retry_after)
        self.standing = standing


class LimiterUnavailable(Unavailable):
    """The limiter's store does not answer, and this kind of request is not let through uncounted."""

    slug = "limiter-unavailable"
    title = "Requests cannot be admitted now"


STANDING: Final = web.RequestKey("rate_limit_standing", Standing)


class RateLimiter:
    """Counts requests. Limiters with the same prefix on the same Redis share their counts."""

    def __init__(self, redis: Redis, *, prefix: str, now_micros: Callable[[], int] | None = None) -> None:
        """`now_micros` is the clock of what is counted in this process."""
        self._prefix = prefix
        self._redis = redis
        self._gcra = redis.register_script(GCRA)
        self._here = _Here(now_micros or (lambda: monotonic_ns() // 1000))

    async def admit(self, *charges: Charge) -> Standing:
        """Let one request pass and say where its tightest key stands.

        At least one charge, each of another limit or key. Raises RateLimited, LimiterUnavailable.
        """
        keys = [f"{self._prefix}:{charge.limit.name}:{charge.key}" for charge in charges]
        try:
            wait, *ahead = await self._ask(keys, charges)
        except TROUBLE as error:
            wait, *ahead = self._judge_blind(keys, charges, error)
        standings = [_standing(charge.limit, micros) for charge, micros in zip(charges, ahead, strict=True)]
        tightest = min(standings, key=lambda each: each.remaining)
        if wait > 0:
            REFUSED.labels(tightest.limit.name).inc()
            raise RateLimited(tightest, retry_after=_up(wait, MICROS))
        return tightest

    async def forgive(self, *charges: Charge) -> None:
        """Forget what these keys have used up: the attempts turned out to be their owner's."""
        keys = [f"{self._prefix}:{charge.limit.name}:{charge.key}" for charge in charges]
        self._here.forget(keys)
        with contextlib.suppress(*TROUBLE):
            await self._redis.delete(*keys)

    async def admit_request(self, request: web.Request, *charges: Charge) -> None:
        """`admit`, with the standing kept for `tell_standing`. Raises RateLimited, LimiterUnavailable."""
        try:
            request[STANDING] = await self.admit(*charges)
        except RateLimited as refusal:
            request[STANDING] = refusal.standing
            raise

    async def _ask(self, keys: Sequence[str], charges: Sequence[Charge]) -> list[int]:
        rules = [
            micros
            for charge in charges
            for micros in (charge.limit.interval_micros, charge.limit.tolerance_micros)
        ]
        answering: Awaitable[list[int]] = self._gcra(keys=list(keys), args=list(rules))
        return [int(each) for each in await answering]

    def _judge_blind(self, keys: Sequence[str], charges: Sequence[Charge], error: Exception) -> list[int]:
        for charge in charges:
            BLIND.labels(charge.limit.name).inc()
        if any(charge.limit.when_blind is WhenBlind.REFUSE for charge in charges):
            raise LimiterUnavailable("Try again in a moment.", retry_after=2) from error
        log.warning("requests are counted by this process alone: the rate limiter's store does not answer")
        return self._here.judge(keys, [charge.limit for charge in charges])


class _Here:
    """The same algorithm in this process, for as long as Redis is away."""

    def __init__(self, now_micros: Callable[[], int]) -> None:
        self._now_micros = now_micros
        self._arrivals: OrderedDict[str, int] = OrderedDict()

    def judge(self, keys: Sequence[str], limits: Sequence[RateLimit]) -> list[int]:
        """What the script answers."""
        now = self._now_micros()
        ahead = [max(0, self._arrivals.get(key, 0) - now) for key in keys]
        wait = max(each - limit.tolerance_micros for each, limit in zip(ahead, limits, strict=True))
        if wait > 0:
            return [wait, *ahead]
        ahead = [each + limit.interval_micros for each, limit in zip(ahead, limits, strict=True)]
        for key, each in zip(keys, ahead, strict=True):
            self._arrivals[key] = now + each
            self._arrivals.move_to_end(key)
        while len(self._arrivals) > LOCAL_KEYS:
            self._arrivals.popitem(last=False)
        return [0, *ahead]

    def forget(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._arrivals.pop(key, None)


async def tell_standing(request: web.Request, response: web.StreamResponse) -> None:
    """Put the RateLimit headers on an answer; for `on_response_prepare`."""
    standing = request.get(STANDING)
    if standing is not None:
        response.headers.update(standing.headers)


def _standing(limit: RateLimit, ahead_micros: int) -> Standing:
    whole = limit.interval_micros * limit.burst
    remaining = max(0, whole - ahead_micros) // limit.interval_micros
    return Standing(limit, remaining, _up(ahead_micros, MICROS))


def _up(dividend: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-dividend // divisor)
