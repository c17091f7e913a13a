"""Holds and refusals, a page at a time in an index's own order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record
from common.pg import Connection

from ledger.store.accounts import AccountRow


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold and what became of it: `opened` is `remaining`, `captured` and `released` together."""

    id: UUID
    account: str
    currency: str
    exponent: int
    reference: str
    opened: Decimal
    remaining: Decimal
    captured: Decimal
    released: Decimal
    expires_at: datetime | None
    expired: bool


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """The stored answer to a command that was refused."""

    id: UUID
    kind: str
    principal: str
    key: str
    reference: str
    slug: str
    detail: str
    refused_at: datetime


# Ranges of (account, id) and (reference, id) for the reason given in `finding`.
_HOLDS = """
    SELECT h.id, a.path AS account, a.currency, a.exponent, h.reference, h.opened, h.remaining, h.captured, h.released,
           h.expires_at, h.expired
      FROM (SELECT * FROM hold WHERE {which} ORDER BY {order} LIMIT {limit}) h
      JOIN LATERAL (SELECT path, currency, exponent FROM account WHERE id = h.account_id OFFSET 0) a ON true
     ORDER BY {outer}
"""
_ALL = _HOLDS.format(which="ledger_id = $1 AND id > $2", order="id", outer="h.id", limit="$3")
_ON_ACCOUNT = _HOLDS.format(
    which="(account_id, id) > ($1::bigint, $2) AND (account_id, id) <= ($1::bigint, $3)",
    order="account_id, id",
    outer="h.account_id, h.id",
    limit="$4",
)
_OF_REFERENCE = _HOLDS.format(
    which="ledger_id = $1 AND (reference, id) > ($2::text, $3) AND (reference, id) <= ($2::text, $4)",
    order="reference, id",
    outer="h.reference, h.id",
    limit="$5",
)
LAST_ID = UUID(int=2**128 - 1)


async def holds(connection: Connection, ledger: int, after: UUID, limit: int) -> Sequence[HoldRow]:
    """All holds beyond the id `after`, by id."""
    return [HoldRow(**row) for row in await connection.fetch(_ALL, ledger, after, limit)]


async def holds_on(connection: Connection, account: AccountRow, after: UUID, limit: int) -> Sequence[HoldRow]:
    """Holds on one account beyond the id `after`, by id."""
    rows = await connection.fetch(_ON_ACCOUNT, account.id, after, LAST_ID, limit)
    return [HoldRow(**row) for row in rows]


async def holds_of(
    connection: Connection, ledger: int, reference: str, after: UUID, limit: int
) -> Sequence[HoldRow]:
    """Holds under one reference beyond the id `after`, by id."""
    rows = await connection.fetch(_OF_REFERENCE, ledger, reference, after, LAST_ID, limit)
    return [HoldRow(**row) for row in rows]


async def has_holds_of(connection: Connection, ledger: int, reference: str) -> bool:
    """Whether any hold, open or ended, has that reference."""
    found = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM hold WHERE ledger_id = $1 AND reference = $2)", ledger, reference
    )
    return bool(found)


async def refusals(
    connection: Connection, ledger: int, place: tuple[datetime, UUID], limit: int, *, newest_first: bool
) -> Sequence[RefusalRow]:
    """Refusals in the order they were given, beyond `place` (before it, when newest first)."""
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    rows = await connection.fetch(
        f"""
        SELECT id, kind, principal, idempotency_key, reference, problem, refused_at FROM refusal
         WHERE ledger_id = $1 AND (refused_at, id) {beyond} ($2, $3)
         ORDER BY refused_at {order}, id {order} LIMIT $4
        """,
        ledger,
        *place,
        limit,
    )
    return [_refusal(row) for row in rows]


def _refusal(row: Record) -> RefusalRow:
    problem = json.loads(row["problem"])
    return RefusalRow(
        row["id"],
        row["kind"],
        row["principal"],
        row["idempotency_key"],
        row["reference"],
        problem["slug"],
        problem["detail"],
        row["refused_at"],
    )
