"""Principals and their API keys. Only the digest of a key is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from asyncpg import Record
from common.pg import Connection

from ledger.domain.keys import KeyHolder, KeyTerms


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to be stored, besides its terms."""

    id: UUID
    ledger: int
    principal: str
    digest: bytes
    hint: str
    signing_root: str | None
    replaces: UUID | None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """All that is known of a key. `state` is live, expired or revoked; `replaced`: it has a successor."""

    id: UUID
    ledger: int
    principal: str
    hint: str
    scopes: frozenset[str]
    signing_root: str | None
    rate_per_second: int | None
    burst: int | None
    requests_per_day: int | None
    lifetime: timedelta | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    state: str
    replaced: bool


_RECORD = """
    id, ledger_id, principal, hint, scopes, signing_root, rate_per_second, burst, requests_per_day,
    lifetime, created_at, expires_at, last_used_at,
    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'live' END AS state,
    EXISTS (SELECT FROM api_key s WHERE s.replaces = k.id) AS replaced
"""


async def holder_by_digest(connection: Connection, digest: bytes) -> KeyHolder | None:
    """The holder of a live key."""
    row = await connection.fetchrow(
        """
        SELECT id, ledger_id, principal, scopes, expires_at, signing_root, rate_per_second, burst, requests_per_day
          FROM api_key WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        """,
        digest,
    )
    if row is None:
        return None
    id, ledger, principal, scopes, *rest = row
    return KeyHolder(id, ledger, principal, frozenset(scopes), *rest)


async def touch_key(connection: Connection, id: UUID) -> None:
    """Note that the key is in use, to the minute."""
    await connection.execute(
        """
        UPDATE api_key SET last_used_at = now()
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
        """,
        id,
    )


async def unknown_kinds(connection: Connection, ledger: int, kinds: Sequence[str]) -> list[str]:
    """The names among `kinds` that the ledger's chart does not have."""
    rows = await connection.fetch(
        """
        SELECT wanted.name FROM unnest($2::text[]) AS wanted (name)
         WHERE NOT EXISTS (SELECT FROM kind k JOIN ledger l ON l.chart = k.chart
                            WHERE l.id = $1 AND k.name = wanted.name)
        """,
        ledger,
        kinds,
    )
    return [row["name"] for row in rows]


async def save_principal(connection: Connection, ledger: int, name: str, kinds: Sequence[str] | None) -> None:
    """The principal, with these kinds; None keeps those it has."""
    await connection.execute(
        """
        INSERT INTO principal (ledger_id, name, kinds) VALUES ($1, $2, coalesce($3::text[], '{}'))
        ON CONFLICT (ledger_id, name) DO UPDATE SET kinds = coalesce($3::text[], principal.kinds)
        """,
        ledger,
        name,
        kinds,
    )


async def add_key(connection: Connection, key: NewKey, terms: KeyTerms) -> None:
    await connection.execute(
        """
        INSERT INTO api_key (id, ledger_id, principal, digest, hint, signing_root, replaces, scopes, lifetime, expires_at,
                             rate_per_second, burst, requests_per_day)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::interval, now() + $9::interval, $10, $11, $12)
        """,
        key.id,
        key.ledger,
        key.principal,
        key.digest,
        key.hint,
        key.signing_root,
        key.replaces,
        sorted(terms.scopes),
        terms.lifetime,
        terms.rate_per_second,
        terms.burst,
        terms.requests_per_day,
    )


async def key_for_update(connection: Connection, id: UUID) -> KeyRecord | None:
    """The key, locked, so that it is rotated once."""
    # Two statements: one that has waited for a lock does not see the successor that came meanwhile.
    await connection.execute("SELECT FROM api_key WHERE id = $1 FOR UPDATE", id)
    row = await connection.fetchrow(f"SELECT {_RECORD} FROM api_key k WHERE id = $1", id)
    return _record(row) if row else None


async def keys(connection: Connection, ledger: int, principal: str | None) -> list[KeyRecord]:
    rows = await connection.fetch(
        f"""
        SELECT {_RECORD} FROM api_key k WHERE ledger_id = $1 AND ($2::text IS NULL OR principal = $2)
         ORDER BY created_at DESC, id
        """,
        ledger,
        principal,
    )
    return [_record(row) for row in rows]


async def end_key(connection: Connection, id: UUID, after: timedelta) -> None:
    """Let the key expire after that time, unless it does so before."""
    await connection.execute(
        "UPDATE api_key SET expires_at = least(expires_at, now() + $2::interval) WHERE id = $1", id, after
    )


async def revoke_key(connection: Connection, id: UUID) -> bool:
    """Whether there is such a key; revoked from now on, or from when it was."""
    done = await connection.execute(
        "UPDATE api_key SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1", id
    )
    return done == "UPDATE 1"


async def revoke_keys(connection: Connection, ledger: int, principal: str) -> int:
    """Revoke every key of the principal; returns how many were not revoked before."""
    rows = await connection.fetch(
        "UPDATE api_key SET revoked_at = now() WHERE ledger_id = $1 AND principal = $2 AND revoked_at IS NULL "
        "RETURNING id",
        ledger,
        principal,
    )
    return len(rows)


def _record(row: Record) -> KeyRecord:
    id, ledger, principal, hint, scopes, *rest = row
    return KeyRecord(id, ledger, principal, hint, frozenset(scopes), *rest)
