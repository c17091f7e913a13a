"""What the journal knows about entries to be mirrored, holds to be drained and payouts to be taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from common.pg import Connection

from ledger.domain.books import Hold, Original, ShareKey
from ledger.domain.commands import Leg


async def load_originals(connection: Connection, ledger: int, ids: Sequence[UUID]) -> dict[UUID, Original]:
    """The ledger's entries among `ids`, and whether each was reversed."""
    if not ids:
        return {}
    legs: dict[UUID, list[Leg]] = defaultdict(list)
    for row in await connection.fetch(
        """
        SELECT e.id, a.path, a.currency, p.amount, p.hold
          FROM entry e
          JOIN posting p ON p.ledger_id = e.ledger_id AND p.sequence = e.sequence
          JOIN account a ON a.id = p.account_id
         WHERE e.ledger_id = $1 AND e.id = ANY ($2::uuid[]) ORDER BY e.sequence, p.leg
        """,
        ledger,
        ids,
    ):
        legs[row["id"]].append(Leg(row["path"], row["currency"], row["amount"], row["hold"]))
    rows = await connection.fetch(
        """
        SELECT e.id, e.kind, e.reference, EXISTS (SELECT FROM entry r WHERE r.reverses = e.id) AS reversed
          FROM entry e WHERE e.ledger_id = $1 AND e.id = ANY ($2::uuid[])
        """,
        ledger,
        ids,
    )
    return {
        row["id"]: Original(row["kind"], row["reference"], tuple(legs[row["id"]]), row["reversed"])
        for row in rows
    }


async def load_drained(connection: Connection, ledger: int, ids: Sequence[UUID]) -> dict[UUID, Hold]:
    """The ledger's holds among `ids`, with the accounts their money is on and came from."""
    if not ids:
        return {}
    rows = await connection.fetch(
        """
        SELECT h.id, h.account_id, h.reference, h.remaining, t.player, a.path, a.currency, o.path AS origin
          FROM hold h
          JOIN account a ON a.id = h.account_id
          LEFT JOIN account o ON o.id = h.origin_id
          LEFT JOIN refund_taken t ON t.ledger_id = h.ledger_id AND t.hold = h.id
         WHERE h.ledger_id = $1 AND h.id = ANY ($2::uuid[])
        """,
        ledger,
        ids,
    )
    return {
        row["id"]: Hold(
            row["account_id"],
            row["reference"],
            row["remaining"],
            row["player"],
            row["path"],
            row["origin"],
            row["currency"],
        )
        for row in rows
    }


async def load_shares(
    connection: Connection, ledger: int, references: Sequence[str]
) -> dict[ShareKey, Decimal]:
    """What settling each market has brought each player, and each account that is nobody's, so far."""
    rows = await connection.fetch(
        """
        SELECT e.reference, coalesce(a.owner, a.path) AS whom, -sum(p.amount) AS share
          FROM entry e
          JOIN posting p ON p.ledger_id = e.ledger_id AND p.sequence = e.sequence
          JOIN account a ON a.id = p.account_id AND a.owner_kind IS DISTINCT FROM 'market'
         WHERE e.ledger_id = $1 AND e.reference = ANY ($2::text[]) AND e.settlement_version IS NOT NULL
         GROUP BY e.reference, coalesce(a.owner, a.path)
        """,
        ledger,
        references,
    )
    return {(row["reference"], row["whom"]): row["share"] for row in rows}
