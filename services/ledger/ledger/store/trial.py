"""Trial balances: all accounts by class, now and at any sequence.

A class on whose accounts nothing is has no row: whether it was opened by then is seen from one side only.
At a sequence the books are reached from the nearest point that is known: the newest close before it, the
beginning, or the end; only the postings between are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from asyncpg import Record
from common.pg import Connection


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """All accounts of a class in one currency: their debit and credit balances."""

    cls: str
    currency: str
    debit: Decimal
    credit: Decimal
    exponent: int


def _rows(rows: Sequence[Record]) -> list[TrialBalanceRow]:
    return [
        TrialBalanceRow(row["class"], row["currency"], row["debit"], row["credit"], row["exponent"])
        for row in rows
    ]


async def trial_balance(connection: Connection, ledger: int) -> list[TrialBalanceRow]:
    """Balances by class as the balances say. Call it in a repeatable read, beside the head."""
    return _rows(
        await connection.fetch(
            """
            SELECT a.class, a.currency, a.exponent,
                   coalesce(sum(b.amount) FILTER (WHERE b.amount > 0), 0) AS debit,
                   coalesce(-sum(b.amount) FILTER (WHERE b.amount < 0), 0) AS credit
              FROM account a JOIN balance b ON b.account_id = a.id
             WHERE a.ledger_id = $1 AND b.amount <> 0
             GROUP BY a.class, a.currency, a.exponent ORDER BY a.class, a.currency
            """,
            ledger,
        )
    )


async def trial_balance_at(connection: Connection, ledger: int, at: int, head: int) -> list[TrialBalanceRow]:
    """The same at the sequence `at`, when the ledger has reached `head`. Call it in a repeatable read."""
    close = await connection.fetchrow(
        """
        SELECT starts_on, sequence FROM period_close
         WHERE ledger_id = $1 AND period = 'day' AND sequence <= $2 ORDER BY starts_on DESC LIMIT 1
        """,
        ledger,
        at,
    )
    below = close["sequence"] if close else 0
    if head - at < at - below:
        return _rows(await connection.fetch(_BACK_FROM_HEAD, ledger, at, head))
    starts_on = close["starts_on"] if close else None
    return _rows(await connection.fetch(_FORWARD_FROM_CLOSE, ledger, below, at, starts_on))


_BY_CLASS = """
    SELECT a.class, a.currency, a.exponent,
           coalesce(sum(x.amount) FILTER (WHERE x.amount > 0), 0) AS debit,
           coalesce(-sum(x.amount) FILTER (WHERE x.amount < 0), 0) AS credit
      FROM reached x JOIN account a ON a.id = x.account_id
     WHERE x.amount <> 0
     GROUP BY a.class, a.currency, a.exponent ORDER BY a.class, a.currency
"""

_MOVED = """
    SELECT account_id, sum(amount) AS amount FROM posting
     WHERE ledger_id = $1 AND sequence > $2 AND sequence <= $3 GROUP BY account_id
"""

_BACK_FROM_HEAD = f"""
    WITH moved AS ({_MOVED}), reached AS (
        SELECT b.account_id, b.amount - coalesce(m.amount, 0) AS amount
          FROM balance b JOIN account o ON o.id = b.account_id AND o.ledger_id = $1
          LEFT JOIN moved m ON m.account_id = b.account_id
    ) {_BY_CLASS}
"""

_FORWARD_FROM_CLOSE = f"""
    WITH moved AS ({_MOVED}), reached AS (
        SELECT account_id, coalesce(c.balance, 0) + coalesce(m.amount, 0) AS amount
          FROM moved m
          FULL JOIN (SELECT account_id, balance FROM close_balance
                      WHERE ledger_id = $1 AND period = 'day' AND starts_on = $4::date) c USING (account_id)
    ) {_BY_CLASS}
"""
