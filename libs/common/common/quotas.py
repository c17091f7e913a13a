"""Quotas: so many requests a day (UTC, by Redis's clock), counted in one script.

Not a rate limit: it says how much was agreed on, not how fast. While Redis does not answer requests pass
uncounted: what was agreed on is no danger to anybody.
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter
from redis.asyncio import Redis

from common.errors import TooMany
from common.redis import TROUBLE

log = logging.getLogger(__name__)

# KEYS[1] counts the day's requests and expires with the day. ARGV[1]: how many there may be.
# Answers 0 and how many there were with this one, or the seconds until the day ends.
COUNT: Final = """
local now = tonumber(redis.call('TIME')[1])
local ends = (math.floor(now / 86400) + 1) * 86400
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used >= tonumber(ARGV[1]) then return {ends - now, used} end
used = redis.call('INCR', KEYS[1])
redis.call('EXPIREAT', KEYS[1], ends)
return {0, used}
"""

_REFUSED: Final = Counter("quota_refused", "Requests beyond a day's quota.", ("quota",))
_BLIND: Final = Counter("quota_blind", "Requests not counted: the quotas' store did not answer.", ("quota",))


class QuotaExceeded(TooMany):
    """The day's requests are used up; it says when the next day begins."""

    slug = "quota-exceeded"
    title = "The day's requests are used up"


@dataclass(frozen=True, slots=True)
class DailyQuota:
    """So many requests a UTC day, per key. `name` is one word and tells the quota from others."""

    name: str
    requests: int


class Quotas:
    """Counts the day's requests. Those with the same prefix on the same Redis share their counts."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._prefix = prefix
        self._count = redis.register_script(COUNT)

    async def spend(self, quota: DailyQuota, key: str) -> None:
        """Count one request of this key. Raises `QuotaExceeded`; a refused request uses nothing up."""
        answering: Awaitable[list[int]] = self._count(
            keys=[f"{self._prefix}:{quota.name}:{key}"], args=[quota.requests]
        )
        try:
            wait_seconds, _ = await answering
        except TROUBLE:
            _BLIND.labels(quota.name).inc()
            log.warning("requests are not counted against their quota: its store does not answer")
            return
        if wait_seconds > 0:
            _REFUSED.labels(quota.name).inc()
            raise QuotaExceeded(f"{quota.requests} requests a day are used up", retry_after=int(wait_seconds))
