"""Accounts and their balances: now, and at any sequence. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from asyncpg import Record
from common.pg import Connection

BEYOND_EVERY_PATH = "\U0010ffff"
"""Sorts after every character a path can have, byte for byte."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An open account: `side` is 1 when it grows by debits, -1 when by credits."""

    id: int
    path: str
    currency: str
    side: int
    exponent: int


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """An account's balance, positive on the side where it normally grows, after `sequence` postings."""

    account: str
    currency: str
    amount: Decimal
    exponent: int
    sequence: int


def _balance(row: Record) -> BalanceRow:
    return BalanceRow(
        row["path"], row["currency"], row["amount"] * row["side"], row["exponent"], row["sequence"]
    )


async def account(connection: Connection, ledger: int, path: str, currency: str) -> AccountRow | None:
    row = await connection.fetchrow(
        "SELECT id, path, currency, side, exponent FROM account WHERE ledger_id = $1 AND path = $2 AND currency = $3",
        ledger,
        path,
        currency,
    )
    return AccountRow(**row) if row else None


async def accounts_under(connection: Connection, ledger: int, prefix: str, limit: int) -> list[AccountRow]:
    """At most `limit` accounts whose path starts with `prefix`, in path order."""
    rows = await connection.fetch(
        """
        SELECT id, path, currency, side, exponent FROM account
         WHERE ledger_id = $1 AND path COLLATE "C" >= $2 AND path COLLATE "C" < $3
         ORDER BY path COLLATE "C", currency COLLATE "C" LIMIT $4
        """,
        ledger,
        prefix,
        prefix + BEYOND_EVERY_PATH,
        limit,
    )
    return [AccountRow(**row) for row in rows]


async def balance(connection: Connection, ledger: int, path: str, currency: str) -> BalanceRow | None:
    row = await connection.fetchrow(
        """
        SELECT a.path, a.currency, a.side, a.exponent, b.amount, b.sequence
          FROM account a JOIN balance b ON b.account_id = a.id
         WHERE a.ledger_id = $1 AND a.path = $2 AND a.currency = $3
        """,
        ledger,
        path,
        currency,
    )
    return _balance(row) if row else None


async def balance_at(connection: Connection, known: AccountRow, sequence: int) -> BalanceRow | None:
    """The account's balance at the ledger's `sequence`; None when it had no posting by then."""
    row = await connection.fetchrow(
        """
        SELECT p.balance, p.account_sequence FROM posting p
         WHERE p.account_id = $1 AND p.account_sequence = account_sequence_at($1, $2)
        """,
        known.id,
        sequence,
    )
    if row is None:
        return None
    return BalanceRow(
        known.path, known.currency, row["balance"] * known.side, known.exponent, row["account_sequence"]
    )


async def balances(
    connection: Connection,
    ledger: int,
    prefix: str,
    after: tuple[str, str],
    limit: int,
    *,
    at: int | None = None,
) -> Sequence[BalanceRow]:
    """A page of accounts whose path starts with `prefix`, in (path, currency) order, beyond `after`.

    With `at`, their balances at that sequence: zero after no postings for one that was not open yet.
    """
    rows = await connection.fetch(
        _BALANCES if at is None else _BALANCES_AT,
        ledger,
        prefix,
        prefix + BEYOND_EVERY_PATH,
        *after,
        limit,
        *([] if at is None else [at]),
    )
    return [_balance(row) for row in rows]


_PAGE_OF_ACCOUNTS = """
    SELECT a.id, a.path, a.currency, a.side, a.exponent FROM account a
     WHERE a.ledger_id = $1 AND a.path COLLATE "C" >= $2 AND a.path COLLATE "C" < $3
       AND (a.path COLLATE "C", a.currency COLLATE "C") > ($4, $5)
     ORDER BY a.path COLLATE "C", a.currency COLLATE "C" LIMIT $6
"""

_BALANCES = f"""
    SELECT a.path, a.currency, a.side, a.exponent, b.amount, b.sequence
      FROM ({_PAGE_OF_ACCOUNTS}) a
      JOIN LATERAL (SELECT amount, sequence FROM balance WHERE account_id = a.id OFFSET 0) b ON true
     ORDER BY a.path COLLATE "C", a.currency COLLATE "C"
"""

_BALANCES_AT = f"""
    SELECT a.path, a.currency, a.side, a.exponent, coalesce(p.balance, 0) AS amount,
           coalesce(p.account_sequence, 0) AS sequence
      FROM ({_PAGE_OF_ACCOUNTS}) a
      LEFT JOIN LATERAL (SELECT balance, account_sequence FROM posting
                          WHERE account_id = a.id AND account_sequence = account_sequence_at(a.id, $7) OFFSET 0) p ON true
     ORDER BY a.path COLLATE "C", a.currency COLLATE "C"
"""
