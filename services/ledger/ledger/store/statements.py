"""An account's postings with the balance after each: its statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from common.pg import Connection

from ledger.store.accounts import AccountRow


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One posting of an account. `side` is that of the posting, `balance` as in `BalanceRow`."""

    account_sequence: int
    entry_id: UUID
    sequence: int
    kind: str
    reference: str
    side: int
    amount: Decimal
    balance: Decimal
    hold: UUID | None
    posted_at: datetime
    effective_at: datetime


async def statement(
    connection: Connection,
    known: AccountRow,
    after: int,
    upto: int,
    limit: int,
    *,
    newest_first: bool = False,
) -> Sequence[StatementRow]:
    """At most `limit` postings with `after` < account sequence <= `upto`, from the lower end or the upper."""
    order = "p.account_sequence DESC" if newest_first else "p.account_sequence"
    rows = await connection.fetch(
        f"""
        SELECT p.account_sequence, e.id, e.sequence, e.kind, e.reference, p.amount, p.balance, p.hold,
               e.posted_at, e.effective_at
          FROM (SELECT * FROM posting p WHERE account_id = $1 AND account_sequence > $2 AND account_sequence <= $3
                 ORDER BY {order} LIMIT $4) p
          JOIN LATERAL (SELECT id, sequence, kind, reference, posted_at, effective_at FROM entry
                         WHERE ledger_id = p.ledger_id AND sequence = p.sequence OFFSET 0) e ON true
         ORDER BY {order}
        """,
        known.id,
        after,
        upto,
        limit,
    )
    return [
        StatementRow(
            row["account_sequence"],
            row["id"],
            row["sequence"],
            row["kind"],
            row["reference"],
            1 if row["amount"] > 0 else -1,
            abs(row["amount"]),
            row["balance"] * known.side,
            row["hold"],
            row["posted_at"],
            row["effective_at"],
        )
        for row in rows
    ]
