"""Rate limits by the generic cell rate algorithm (GCRA): one number per key, one script, Redis's clock."""

import logging

from common.errors import TooMany, Unavailable
from common.redis import TROUBLE
from prometheus_client import Counter
from redis.asyncio import Redis

from gateway.domain import LimitClass, RateLimits

log = logging.getLogger(__name__)

# The key holds the theoretical arrival time: when the next request would come at the steady rate.
# ARGV: what one request takes up and how far ahead of the rate one may run, both in microseconds.
# Answers 0 to let pass, else the microseconds to wait. A refused request uses nothing up.
GCRA = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local arrival = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local wait = arrival - now - tonumber(ARGV[2])
if wait > 0 then return wait end
arrival = arrival + tonumber(ARGV[1])
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
return 0
"""

REFUSED = Counter("gateway_rate_limited", "Requests over their rate limit", ["limit"])
BLIND = Counter(
    "gateway_rate_limit_blind", "Requests judged while the limiter's store did not answer", ["limit"]
)


class RateLimited(TooMany):
    slug = "rate-limited"
    title = "Too many requests"


class LimiterUnavailable(Unavailable):
    """The limiter's store does not answer, and this kind of request is not let through uncounted."""

    slug = "limiter-unavailable"
    title = "Requests cannot be admitted now"


class Limiter:
    """Counts requests per limit and key."""

    def __init__(self, redis: Redis, limits: RateLimits) -> None:
        self._limits = limits
        self._gcra = redis.register_script(GCRA)

    async def admit(self, limit: LimitClass, key: str) -> None:
        """Let one request of this key pass. Raises RateLimited, LimiterUnavailable."""
        rule = self._limits[limit]
        try:
            wait_micros = int(
                await self._gcra(
                    keys=[f"gateway:limit:{limit}:{key}"], args=[rule.interval_micros, rule.tolerance_micros]
                )
            )
        except TROUBLE as error:
            BLIND.labels(limit).inc()
            if rule.refuse_when_blind:
                raise LimiterUnavailable("Try again in a moment.", retry_after=2) from error
            log.warning("a request passed uncounted: the rate limiter's store does not answer")
            return
        if wait_micros > 0:
            REFUSED.labels(limit).inc()
            raise RateLimited("Too many requests, slow down.", retry_after=-(-wait_micros // 1_000_000))
