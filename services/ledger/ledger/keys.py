"""API keys: how they are made, stored as digests, and turned back into a principal."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from uuid import uuid4

from aiohttp import web
from common.errors import Invalid, Unauthenticated
from common.http import Principal, Role
from common.pg import Pool, transaction

from ledger.store import keys as store
from ledger.store.chart import ledgers

PREFIX = "lk_live_"
CACHE_SECONDS = 5.0
CACHE_KEYS = 1_000


def new_key() -> str:
    """A key with 256 random bits. It is shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whoever presented a valid key: its ledger, its principal, and whether it may change anything."""

    ledger: int
    principal: str
    read_only: bool


READING = web.AppKey("reading", Pool)
"""The pool for everything but posting."""

HOLDER = web.RequestKey("key_holder", KeyHolder)


class KeyRing:
    """Looks keys up, remembering answers for `CACHE_SECONDS`, so a revoked key dies within that time."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[float, KeyHolder]] = {}

    async def authenticate(self, request: web.Request) -> Principal:
        """For routes by API key: the holder is found in `request[HOLDER]` afterwards."""
        holder = await self.holder(request.app[READING], request.headers.get("Authorization"))
        request[HOLDER] = holder
        return Principal(holder.principal, Role.SERVICE)

    async def holder(self, pool: Pool, authorization: str | None) -> KeyHolder:
        """The holder of the bearer key in an Authorization header.

        Raises:
            Unauthenticated: no key, or one that is unknown or revoked.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key.startswith(PREFIX):
            raise Unauthenticated("present an API key: Authorization: Bearer lk_live_…")
        hashed = digest(key)
        known = self._seen.get(hashed)
        if known and known[0] > time.monotonic():
            return known[1]
        async with transaction(pool, readonly=True) as connection:
            row = await store.key_by_digest(connection, hashed)
        if row is None:
            self._seen.pop(hashed, None)
            raise Unauthenticated("the API key is unknown or revoked")
        holder = KeyHolder(row.ledger, row.principal, row.read_only)
        if len(self._seen) >= CACHE_KEYS:
            self._seen.clear()
        self._seen[hashed] = time.monotonic() + CACHE_SECONDS, holder
        return holder


async def create_key(
    pool: Pool, ledger_name: str, principal: str, kinds: list[str], *, read_only: bool = False
) -> str:
    """Make a key for `principal`, which may post exactly `kinds`. The key is returned, once.

    Raises:
        Invalid: no such ledger, or kinds its chart does not have.
    """
    key = new_key()
    async with transaction(pool) as connection:
        ledger = (await ledgers(connection)).get(ledger_name)
        if ledger is None:
            raise Invalid(f"no ledger {ledger_name}", field="ledger")
        unknown = await store.unknown_kinds(connection, ledger, kinds)
        if unknown:
            raise Invalid(f"the chart has no kind {', '.join(unknown)}", field="kinds")
        await store.save_principal(connection, ledger, principal, kinds)
        await store.add_key(connection, uuid4(), ledger, principal, digest(key), read_only)
    return key


async def revoke_keys(pool: Pool, ledger_name: str, principal: str) -> int:
    """Revoke every key of `principal`; returns how many were live.

    Raises:
        Invalid: no such ledger.
    """
    async with transaction(pool) as connection:
        ledger = (await ledgers(connection)).get(ledger_name)
        if ledger is None:
            raise Invalid(f"no ledger {ledger_name}", field="ledger")
        return await store.revoke_keys(connection, ledger, principal)
