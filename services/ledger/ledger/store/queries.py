"""Reading the books: balances, statements, trial balance. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record
from common.pg import Connection


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """An account's balance, positive on the side where it normally grows, after `sequence` postings."""

    account: str
    currency: str
    amount: Decimal
    exponent: int
    sequence: int


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One posting of an account, oldest first; `balance` as in `BalanceRow`."""

    account_sequence: int
    entry_id: UUID
    sequence: int
    kind: str
    reference: str
    side: int
    amount: Decimal
    balance: Decimal
    exponent: int
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """All accounts of a class in one currency: their debit and credit balances."""

    cls: str
    currency: str
    debit: Decimal
    credit: Decimal
    exponent: int


def _balance(row: Record) -> BalanceRow:
    return BalanceRow(
        row["path"], row["currency"], row["amount"] * row["side"], row["exponent"], row["sequence"]
    )


async def balance(connection: Connection, ledger: int, account: str, currency: str) -> BalanceRow | None:
    row = await connection.fetchrow(
        """
        SELECT a.path, a.currency, a.side, a.exponent, b.amount, b.sequence
          FROM account a JOIN balance b ON b.account_id = a.id
         WHERE a.ledger_id = $1 AND a.path = $2 AND a.currency = $3
        """,
        ledger,
        account,
        currency,
    )
    return _balance(row) if row else None


async def balances(
    connection: Connection, ledger: int, prefix: str, after: str, limit: int
) -> list[BalanceRow]:
    """Accounts whose path starts with `prefix`, in path order, beyond the path `after`."""
    rows = await connection.fetch(
        """
        SELECT a.path, a.currency, a.side, a.exponent, b.amount, b.sequence
          FROM account a JOIN balance b ON b.account_id = a.id
         WHERE a.ledger_id = $1 AND a.path ^@ $2 AND (a.path || '|' || a.currency) COLLATE "C" > $3
         ORDER BY (a.path || '|' || a.currency) COLLATE "C" LIMIT $4
        """,
        ledger,
        prefix,
        after,
        limit,
    )
    return [_balance(row) for row in rows]


async def statement(
    connection: Connection, ledger: int, account: str, currency: str, after: int, limit: int
) -> Sequence[StatementRow]:
    """Postings of one account beyond account sequence `after`."""
    rows = await connection.fetch(
        """
        SELECT p.account_sequence, e.id, e.sequence, e.kind, e.reference, a.side, p.amount, p.balance, a.exponent,
               e.posted_at
          FROM account a
          JOIN posting p ON p.account_id = a.id
          JOIN entry e ON e.ledger_id = p.ledger_id AND e.sequence = p.sequence
         WHERE a.ledger_id = $1 AND a.path = $2 AND a.currency = $3 AND p.account_sequence > $4
         ORDER BY p.account_sequence LIMIT $5
        """,
        ledger,
        account,
        currency,
        after,
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
            row["balance"] * row["side"],
            row["exponent"],
            row["posted_at"],
        )
        for row in rows
    ]


async def trial_balance(connection: Connection, ledger: int) -> tuple[int, list[TrialBalanceRow]]:
    """The ledger's sequence and its balances by class. Call it in a repeatable read."""
    sequence = await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = $1", ledger)
    rows = await connection.fetch(
        """
        SELECT a.class, a.currency, a.exponent,
               coalesce(sum(b.amount) FILTER (WHERE b.amount > 0), 0) AS debit,
               coalesce(-sum(b.amount) FILTER (WHERE b.amount < 0), 0) AS credit
          FROM account a JOIN balance b ON b.account_id = a.id
         WHERE a.ledger_id = $1 GROUP BY a.class, a.currency, a.exponent ORDER BY a.class, a.currency
        """,
        ledger,
    )
    return sequence, [
        TrialBalanceRow(row["class"], row["currency"], row["debit"], row["credit"], row["exponent"])
        for row in rows
    ]


async def drift(connection: Connection, ledger: int) -> list[str]:
    """Paths of accounts whose stored balance is not the sum of their postings. Empty in a sound ledger."""
    rows = await connection.fetch(
        """
        SELECT a.path FROM account a JOIN balance b ON b.account_id = a.id
          LEFT JOIN (SELECT account_id, sum(amount) AS amount, count(*) AS n FROM posting
                      WHERE ledger_id = $1 GROUP BY account_id) p ON p.account_id = a.id
         WHERE a.ledger_id = $1
           AND (b.amount IS DISTINCT FROM coalesce(p.amount, 0) OR b.sequence IS DISTINCT FROM coalesce(p.n, 0))
         ORDER BY a.path
        """,
        ledger,
    )
    return [row["path"] for row in rows]
