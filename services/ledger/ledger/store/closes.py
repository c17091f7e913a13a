"""Closing periods and reading what was closed. The close itself is the database's own function."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from asyncpg import Record
from common.pg import Connection

from ledger.domain.closes import Close, ClosedBalance, Due, Period, Proof, Total

_CLOSE = "period, starts_on, ends_at, sequence, entries, late, closed_at"


def _close(row: Record) -> Close:
    return Close(*(row[name] for name in _CLOSE.split(", ")))


async def next_close(connection: Connection, ledger: int, period: Period) -> Due | None:
    """The period to close next, whether it is over or not; None while the ledger has no entry."""
    row = await connection.fetchrow("SELECT starts_on, ends_at FROM next_close($1, $2)", ledger, period)
    if row is None or row["starts_on"] is None:
        return None
    return Due(period, row["starts_on"], row["ends_at"])


async def close_period(connection: Connection, ledger: int, due: Due) -> bool:
    """Close it; False when somebody else had.

    Raises:
        asyncpg.CheckViolationError: it is not the next one, not over, or its figures do not hold.
    """
    done: bool = await connection.fetchval(
        "SELECT close_period($1, $2, $3)", ledger, due.period, due.starts_on
    )
    return done


async def closes(
    connection: Connection, ledger: int, period: Period, before: date | None, limit: int
) -> Sequence[Close]:
    """Closed periods, newest first, from before that day on."""
    rows = await connection.fetch(
        f"""
        SELECT {_CLOSE} FROM period_close
         WHERE ledger_id = $1 AND period = $2 AND starts_on < coalesce($3::date, 'infinity')
         ORDER BY starts_on DESC LIMIT $4
        """,
        ledger,
        period,
        before,
        limit,
    )
    return [_close(row) for row in rows]


async def close_of(connection: Connection, ledger: int, period: Period, starts_on: date) -> Close | None:
    row = await connection.fetchrow(
        f"SELECT {_CLOSE} FROM period_close WHERE ledger_id = $1 AND period = $2 AND starts_on = $3",
        ledger,
        period,
        starts_on,
    )
    return _close(row) if row else None


async def totals(connection: Connection, ledger: int, period: Period, starts_on: date) -> Sequence[Total]:
    """The trial balance of a close."""
    rows = await connection.fetch(
        """
        SELECT t.class, t.currency, c.exponent, t.opening, t.debit, t.credit, t.debit_balance, t.credit_balance
          FROM close_total t JOIN currency c ON c.code = t.currency
         WHERE t.ledger_id = $1 AND t.period = $2 AND t.starts_on = $3 ORDER BY t.class, t.currency
        """,
        ledger,
        period,
        starts_on,
    )
    return [Total(*row.values()) for row in rows]


async def proofs(connection: Connection, ledger: int, period: Period, starts_on: date) -> Sequence[Proof]:
    """The segregated-funds proof of a close, one a currency; none where the chart keeps no clients' money."""
    rows = await connection.fetch(
        """
        SELECT p.currency, c.exponent, p.money, p.owed, p.covered
          FROM close_proof p JOIN currency c ON c.code = p.currency
         WHERE p.ledger_id = $1 AND p.period = $2 AND p.starts_on = $3 ORDER BY p.currency
        """,
        ledger,
        period,
        starts_on,
    )
    return [Proof(*row.values()) for row in rows]


async def closed_balances(
    connection: Connection, ledger: int, period: Period, starts_on: date, after: int, limit: int
) -> tuple[Sequence[ClosedBalance], int]:
    """A page of a close's accounts in the order they were opened, beyond account id `after`; and its last id."""
    rows = await connection.fetch(
        """
        SELECT b.account_id, a.path, a.currency, a.exponent, b.debit, b.credit, b.balance * a.side AS balance,
               b.account_sequence
          FROM close_balance b
          JOIN LATERAL (SELECT path, currency, exponent, side FROM account WHERE id = b.account_id OFFSET 0) a ON true
         WHERE b.ledger_id = $1 AND b.period = $2 AND b.starts_on = $3 AND b.account_id > $4
         ORDER BY b.account_id LIMIT $5
        """,
        ledger,
        period,
        starts_on,
        after,
        limit,
    )
    return [ClosedBalance(*list(row.values())[1:]) for row in rows], rows[-1]["account_id"] if rows else after
