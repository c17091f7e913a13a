"""Principals and their API keys. Only the digest of a key is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from common.pg import Connection


@dataclass(frozen=True, slots=True)
class KeyRow:
    ledger: int
    principal: str
    read_only: bool


async def key_by_digest(connection: Connection, digest: bytes) -> KeyRow | None:
    row = await connection.fetchrow(
        "SELECT ledger_id, principal, read_only FROM api_key WHERE digest = $1 AND revoked_at IS NULL", digest
    )
    return KeyRow(row["ledger_id"], row["principal"], row["read_only"]) if row else None


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


async def save_principal(connection: Connection, ledger: int, name: str, kinds: Sequence[str]) -> None:
    await connection.execute(
        """
        INSERT INTO principal (ledger_id, name, kinds) VALUES ($1, $2, $3)
        ON CONFLICT (ledger_id, name) DO UPDATE SET kinds = excluded.kinds
        """,
        ledger,
        name,
        kinds,
    )


async def add_key(
    connection: Connection, id: UUID, ledger: int, principal: str, digest: bytes, read_only: bool
) -> None:
    await connection.execute(
        "INSERT INTO api_key (id, ledger_id, principal, digest, read_only) VALUES ($1, $2, $3, $4, $5)",
        id,
        ledger,
        principal,
        digest,
        read_only,
    )


async def revoke_keys(connection: Connection, ledger: int, principal: str) -> int:
    """Revoke every key of the principal; returns how many were live."""
    rows = await connection.fetch(
        "UPDATE api_key SET revoked_at = now() WHERE ledger_id = $1 AND principal = $2 AND revoked_at IS NULL "
        "RETURNING id",
        ledger,
        principal,
    )
    return len(rows)
