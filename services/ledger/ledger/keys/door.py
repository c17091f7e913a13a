"""API keys at the HTTP door: who is asking, whether they must have signed, how often they may ask."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from common import signing
from common.errors import Unauthenticated
from common.http import Principal, Role, bearer
from common.pg import DatabaseUnavailable, Pool, transaction
from common.quotas import DailyQuota, QuotaExceeded, Quotas
from common.rate_limits import Charge, RateLimit, RateLimited, RateLimiter, WhenBlind
from common.signing import SignatureVerifier
from redis.asyncio import Redis

from ledger.domain.keys import KeyHolder
from ledger.domain.refusals import ScopeMissing
from ledger.keys.secrets import PREFIX, SigningRoots, digest
from ledger.store import keys as store

log = logging.getLogger(__name__)

CACHE_SECONDS = 5.0
"""For how long an answer is remembered, so within which time a revoked key dies."""
REFRESH_SECONDS = 4.0
"""From when on the answer is looked up anew, while the remembered one still serves: so nobody waits for it."""
CACHE_KEYS = 1_000
SAFE_METHODS = frozenset(("GET", "HEAD"))

READING = web.AppKey("reading", Pool)
"""The pool for everything but posting."""

HOLDER = web.RequestKey("key_holder", KeyHolder)


REFUSALS: Final = (*signing.REFUSALS, ScopeMissing, RateLimited, QuotaExceeded, DatabaseUnavailable)
"""What whoever asks by key must be ready for on every route, besides being unknown."""


class KeyRing:
    """Finds the holder of the key that a request presents, and holds it to what was agreed."""

    def __init__(
        self, roots: SigningRoots, redis: Redis, welcome: Callable[[web.Request, KeyHolder], None]
    ) -> None:
        """`redis` keeps nonces, rates and quotas. `welcome` raises for a known key whose request is not taken in
        now; nothing else has been looked at by then, so that to refuse costs next to nothing."""
        self._roots = roots
        self._welcome = welcome
        self._signatures = SignatureVerifier(redis, audience="ledger")
        self._limiter = RateLimiter(redis, prefix="ledger:key")
        self._quotas = Quotas(redis, prefix="ledger:key")
        self._seen: dict[bytes, tuple[float, KeyHolder]] = {}
        self._looking: dict[bytes, asyncio.Task[KeyHolder | None]] = {}

    async def authenticate(self, request: web.Request) -> Principal:
        """For routes by API key: the holder is found in `request[HOLDER]` afterwards.

        Who asks comes first, then whether there is room for them, then how often, then whether the key may read
        or change anything at all: so no route can forget to ask.

        Raises:
            Unauthenticated: no key, or one that is unknown, expired or revoked.
            DomainError: whatever `welcome` refuses with.
            SignatureMissing and the like: the key's requests must be signed.
            RateLimited, QuotaExceeded: more than was agreed.
            ReadOnlyKey, ScopeMissing.
        """
        holder = await self._holder(request.app[READING], bearer(request))
        self._welcome(request, holder)
        if holder.signing_root is not None:
            await self._signatures.verify(request, self._roots.key_of(holder.key, holder.signing_root))
        await self._admit(request, holder)
        holder.require(mutation=request.method not in SAFE_METHODS)
        request[HOLDER] = holder
        return Principal(holder.principal, Role.SERVICE)

    async def _holder(self, pool: Pool, key: str) -> KeyHolder:
        if not key.startswith(PREFIX):
            raise Unauthenticated("present an API key: Authorization: Bearer lk_live_…")
        hashed = digest(key)
        seen_at, holder = self._seen.get(hashed, (0.0, None))
        age = time.monotonic() - seen_at
        if holder is None or age >= CACHE_SECONDS:
            holder = await asyncio.shield(self._look_up(pool, hashed))
        elif age >= REFRESH_SECONDS:
            self._look_up(pool, hashed)
        if holder is None or (holder.expires_at is not None and holder.expires_at <= datetime.now(UTC)):
            raise Unauthenticated("the API key is unknown, expired or revoked")
        return holder

    def _look_up(self, pool: Pool, hashed: bytes) -> asyncio.Task[KeyHolder | None]:
        """One look for all who ask for the key meanwhile: else every request of a busy key would look at once."""
        looking = self._looking.get(hashed)
        if looking is None:
            looking = self._looking[hashed] = asyncio.create_task(self._look(pool, hashed), name="key")
            looking.add_done_callback(lambda done: self._looked(hashed, done))
        return looking

    async def _look(self, pool: Pool, hashed: bytes) -> KeyHolder | None:
        began = time.monotonic()
        async with transaction(pool) as connection:
            holder = await store.holder_by_digest(connection, hashed)
            if holder is not None:
                await store.touch_key(connection, holder.key)
        self._remember(hashed, began, holder)
        return holder

    def _looked(self, hashed: bytes, done: asyncio.Task[KeyHolder | None]) -> None:
        del self._looking[hashed]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.warning("an API key could not be looked up: %r", error)

    def _remember(self, hashed: bytes, at: float, holder: KeyHolder | None) -> None:
        if holder is None:
            self._seen.pop(hashed, None)
            return
        if len(self._seen) >= CACHE_KEYS:
            self._seen.clear()
        self._seen[hashed] = at, holder

    async def _admit(self, request: web.Request, holder: KeyHolder) -> None:
        if holder.rate_per_second is not None and holder.burst is not None:
            limit = RateLimit("api-key", holder.rate_per_second, holder.burst, WhenBlind.COUNT_HERE)
            await self._limiter.admit_request(request, Charge(limit, str(holder.key)))
        if holder.requests_per_day is not None:
            await self._quotas.spend(DailyQuota("daily", holder.requests_per_day), str(holder.key))
