"""Stored answers: what became of a command, read back from the journal itself.

An entry's answer is rebuilt from its rows, which never change; a refusal's is its stored problem.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from asyncpg import Record
from common.errors import DomainError
from common.pg import Connection

from ledger.domain.refusals import STORED


class PostedLeg(NamedTuple):
    """A posting as stored: signed amount, signed balance after it (debit positive)."""

    account: str
    currency: str
    side: int
    amount: Decimal
    balance: Decimal
    account_sequence: int
    hold: UUID | None


class PostedEntry(NamedTuple):
    """An entry as stored."""

    id: UUID
    sequence: int
    kind: str
    principal: str
    key: str
    fingerprint: bytes
    reference: str
    metadata: dict[str, str]
    receipt: UUID | None
    posted_at: datetime
    effective_at: datetime
    legs: tuple[PostedLeg, ...]
    reverses: UUID | None = None
    link: UUID | None = None


@dataclass(frozen=True, slots=True)
class StoredRefusal:
    id: UUID
    fingerprint: bytes
    why: DomainError


Outcome = PostedEntry | StoredRefusal


async def outcomes(connection: Connection, ledger: int, ids: Sequence[UUID]) -> dict[UUID, Outcome]:
    """What became of the commands among `ids` that are finished. One look when none is, as for most."""
    rows = await connection.fetch(
        """
        SELECT id, fingerprint, problem FROM refusal WHERE ledger_id = $1 AND id = ANY ($2::uuid[])
         UNION ALL SELECT id, fingerprint, NULL FROM entry WHERE ledger_id = $1 AND id = ANY ($2::uuid[])
        """,
        ledger,
        ids,
    )
    found: dict[UUID, Outcome] = {}
    posted = []
    for row in rows:
        if row["problem"] is None:
            posted.append(row["id"])
            continue
        problem = json.loads(row["problem"])
        why = STORED[problem["slug"]](problem["detail"], field=problem["field"])
        found[row["id"]] = StoredRefusal(row["id"], row["fingerprint"], why)
    if posted:
        found |= {entry.id: entry for entry in await entries(connection, ledger, posted)}
    return found


async def entries(connection: Connection, ledger: int, ids: Sequence[UUID]) -> list[PostedEntry]:
    """The ledger's entries among `ids`, with their postings in leg order."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM entry WHERE ledger_id = $1 AND id = ANY ($2::uuid[])", ledger, ids
    )
    return await _with_legs(connection, ledger, rows)


async def entries_at(connection: Connection, ledger: int, sequences: Sequence[int]) -> dict[int, PostedEntry]:
    """The ledger's entries with these sequences, by sequence."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM entry WHERE ledger_id = $1 AND sequence = ANY ($2::bigint[])",
        ledger,
        sequences,
    )
    return {entry.sequence: entry for entry in await _with_legs(connection, ledger, rows)}


_COLUMNS = (
    "id, sequence, kind, principal, idempotency_key, fingerprint, reference, metadata, receipt, posted_at, effective_at, "
    "reverses, link"
)


async def _with_legs(connection: Connection, ledger: int, rows: Sequence[Record]) -> list[PostedEntry]:
    if not rows:
        return []
    legs: dict[int, list[PostedLeg]] = {}
    for row in await connection.fetch(
        """
        SELECT p.sequence, a.path, a.currency, a.side, p.amount, p.balance, p.account_sequence, p.hold
          FROM posting p JOIN account a ON a.id = p.account_id
         WHERE p.ledger_id = $1 AND p.sequence = ANY ($2::bigint[])
         ORDER BY p.sequence, p.leg
        """,
        ledger,
        [row["sequence"] for row in rows],
    ):
        legs.setdefault(row["sequence"], []).append(
            PostedLeg(
                row["path"],
                row["currency"],
                row["side"],
                row["amount"],
                row["balance"],
                row["account_sequence"],
                row["hold"],
            )
        )
    return [
        PostedEntry(
            row["id"],
            row["sequence"],
            row["kind"],
            row["principal"],
            row["idempotency_key"],
            row["fingerprint"],
            row["reference"],
            json.loads(row["metadata"]),
            row["receipt"],
            row["posted_at"],
            row["effective_at"],
            tuple(legs[row["sequence"]]),
            row["reverses"],
            row["link"],
        )
        for row in rows
    ]
