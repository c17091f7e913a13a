"""Balances in Redis, for those who look often: read through, newer over older, gone within two seconds.

Nothing is ever decided on a cached balance; it is shown, with the account's sequence, and that is all. So Redis may
die, restart or lie: a balance is then read from the books, or is wrong for those who look for at most `TTL_MS`.

    A reader that misses leaves a mark before it reads the books. A commit writes over whatever is there, mark or
    balance, if it is older. The reader then puts what it read, if nothing newer came meanwhile. So a balance that was
    read before a commit cannot land on top of it; and accounts that nobody looks at never enter the cache.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from common.redis import TROUBLE
from prometheus_client import Counter
from redis.asyncio import Redis

from ledger.domain.amounts import written
from ledger.store.accounts import BalanceRow
from ledger.store.outcomes import PostedEntry

log = logging.getLogger(__name__)

LOOKED = Counter("ledger_balance_cache", "Looks at the balance cache", ["result"])

TTL_MS: Final = 2_000
REST_SECONDS: Final = 1.0
"""After trouble the cache is left alone for so long: a frozen Redis must not slow every reader down."""
MOST_PENDING: Final = 20_000
BATCH: Final = 500

CacheKey = tuple[int, str, str]
"""A ledger, a path, a currency."""


@dataclass(frozen=True, slots=True)
class _Moved:
    """What an account came to by a commit, positive on its normal side."""

    sequence: int
    amount: Decimal
    exponent: int


# KEYS[1]; ARGV: ttl. The balance, or a mark that somebody is about to read it.
_LOOK: Final = """
local kind = redis.call('TYPE', KEYS[1])['ok']
if kind == 'hash' then return redis.call('HMGET', KEYS[1], 's', 'b', 'e', 't') end
if kind ~= 'none' then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 's', -1)
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return false
"""

# KEYS…; ARGV: ttl, time, then sequence, balance and exponent of each. Set if newer, and only where somebody looked.
_SET: Final = """
for i, key in ipairs(KEYS) do
    local known = redis.pcall('HGET', key, 's')
    if type(known) == 'table' then
        redis.call('DEL', key)
    elseif known and tonumber(ARGV[i * 3]) > (tonumber(known) or -1) then
        redis.call('HSET', key, 's', ARGV[i * 3], 'b', ARGV[i * 3 + 1], 'e', ARGV[i * 3 + 2], 't', ARGV[2])
        redis.call('PEXPIRE', key, ARGV[1])
    end
end
"""


class BalanceCache:
    """The cache. Start `run` beside it, which writes what was committed."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._look = redis.register_script(_LOOK)
        self._set = redis.register_script(_SET)
        self._pending: dict[CacheKey, _Moved] = {}
        self._something = asyncio.Event()
        self._flights: dict[CacheKey, asyncio.Future[BalanceRow | None]] = {}
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether it is left alone after trouble."""
        return time.monotonic() < self._rests_until

    async def through(
        self,
        key: CacheKey,
        read: Callable[[], Awaitable[BalanceRow | None]],
        *,
        at_least: int = 0,
    ) -> tuple[BalanceRow | None, Literal["cache", "primary"]]:
        """The balance from the cache, or by `read`, which many callers who miss at once share.

        What is cached counts only if it shows `at_least` so many postings. None when `read` finds no account.
        """
        flying = self._flights.get(key)
        if flying is None:
            cached = await self._cached(key)
            if cached is not None and cached.sequence >= at_least:
                return cached, "cache"
            flying = self._flights.get(key)
        if flying is None:
            flying = self._flights[key] = asyncio.ensure_future(self._fill(key, read))
            flying.add_done_callback(lambda _: self._flights.pop(key, None))
        row = await asyncio.shield(flying)
        if row is not None and row.sequence < at_least:
            row = await read()  # the flight had begun before what the caller knows of
        return row, "primary"

    async def _cached(self, key: CacheKey) -> BalanceRow | None:
        if self.rests:
            return None
        try:
            found = await self._look(keys=[_name(key)], args=[TTL_MS])
        except TROUBLE as trouble:
            self._rest(trouble)
            return None
        if not found or found[1] is None:
            LOOKED.labels("miss").inc()
            return None
        try:
            row = _parsed(key, found)
        except (ValueError, InvalidOperation, TypeError):
            LOOKED.labels("nonsense").inc()
            with suppress(*TROUBLE):
                await self._redis.delete(_name(key))
            return None
        LOOKED.labels("hit").inc()
        return row

    async def _fill(
        self, key: CacheKey, read: Callable[[], Awaitable[BalanceRow | None]]
    ) -> BalanceRow | None:
        began = time.time()
        row = await read()
        if row is not None and not self.rests:
            balance = written(row.amount, row.exponent)
            try:
                await self._set(
                    keys=[_name(key)],
                    args=[TTL_MS, _milliseconds(began), row.sequence, balance, row.exponent],
                )
            except TROUBLE as trouble:
                self._rest(trouble)
        return row

    def moved(self, ledger: int, entry: PostedEntry, exponents: Mapping[str, int]) -> None:
        """An entry is committed: whoever looks at its accounts is to see it. Takes no time and cannot fail."""
        if self.rests:
            return
        for leg in entry.legs:
            key = ledger, leg.account, leg.currency
            known = self._pending.get(key)
            if known is None or known.sequence < leg.account_sequence:
                self._pending[key] = _Moved(
                    leg.account_sequence, leg.balance * leg.side, exponents[leg.currency]
                )
        self._something.set()

    async def run(self) -> None:
        """Write what was committed, for ever; an account that moved many times meanwhile once."""
        while True:
            await self._something.wait()
            self._something.clear()
            if self.rests or len(self._pending) > MOST_PENDING:
                self._pending.clear()  # what is cached of them is gone in two seconds
                continue
            while self._pending:
                some = [self._pending.popitem() for _ in range(min(BATCH, len(self._pending)))]
                try:
                    await self._set(keys=[_name(key) for key, _ in some], args=_arguments(some))
                except TROUBLE as trouble:
                    self._rest(trouble)
                    self._pending.clear()

    def _rest(self, trouble: BaseException) -> None:
        LOOKED.labels("trouble").inc()
        if not self.rests:
            log.warning("the balance cache is left alone for a while: %r", trouble)
        self._rests_until = time.monotonic() + REST_SECONDS


def _arguments(some: Sequence[tuple[CacheKey, _Moved]]) -> list[str | int]:
    arguments: list[str | int] = [TTL_MS, _milliseconds(time.time())]
    for _, moved in some:
        arguments += [moved.sequence, written(moved.amount, moved.exponent), moved.exponent]
    return arguments


def _name(key: CacheKey) -> str:
    ledger, path, currency = key
    return f"balance:{ledger}:{currency}:{path}"


def _parsed(key: CacheKey, found: list[bytes | None]) -> BalanceRow:
    """Raises ValueError, TypeError, InvalidOperation for anything that is not a balance of the last two seconds."""
    if None in found:
        raise ValueError("half a balance")
    sequence, balance, exponent, at_ms = (part.decode() for part in found if part is not None)
    age_ms = time.time() * 1_000 - int(at_ms)
    amount = Decimal(balance)
    if not -TTL_MS <= age_ms <= TTL_MS or not amount.is_finite() or not 0 <= int(exponent) <= 6:
        raise ValueError("not a balance that we wrote just now")
    return BalanceRow(key[1], key[2], amount, int(exponent), int(sequence))


def _milliseconds(moment: float) -> int:
    return int(moment * 1_000)
