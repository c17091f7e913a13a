"""What is done to an account itself: closing it, noting something about it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from common.pg import Connection

from ledger.domain.closing import AccountState


async def account_state(
    connection: Connection, ledger: int, account: str, currency: str
) -> AccountState | None:
    """The account, or None when it was never posted to."""
    row = await connection.fetchrow(
        """
        SELECT a.id, a.path, a.currency, a.exponent, a.class, a.side, a.floored, b.amount, b.sequence,
               (SELECT coalesce(sum(h.remaining), 0) FROM hold h WHERE h.origin_id = a.id) AS held,
               a.opened_at, c.closed_at, coalesce(m.metadata, '{}') AS metadata
          FROM account a
          JOIN balance b ON b.account_id = a.id
          LEFT JOIN account_closing c ON c.account_id = a.id
          LEFT JOIN account_metadata m ON m.account_id = a.id
         WHERE a.ledger_id = $1 AND a.path = $2 AND a.currency = $3
        """,
        ledger,
        account,
        currency,
    )
    if row is None:
        return None
    return AccountState(
        row["id"],
        row["path"],
        row["currency"],
        row["exponent"],
        row["class"],
        row["side"],
        row["floored"],
        row["amount"] * row["side"],
        row["sequence"],
        row["held"],
        row["opened_at"],
        row["closed_at"],
        json.loads(row["metadata"]),
    )


async def staked_in(connection: Connection, account: int) -> str | None:
    """A market in which money held of this account became a stake that is not settled, if there is one."""
    reference: str | None = await connection.fetchval(
        """
        SELECT s.reference
          FROM hold h
          JOIN account a ON a.id = h.origin_id
          JOIN stake s ON s.ledger_id = h.ledger_id AND s.reference = h.reference AND s.player = a.owner
         WHERE h.origin_id = $1 AND h.captured > 0
           AND coalesce((SELECT t.state FROM settlement t WHERE t.ledger_id = s.ledger_id AND t.reference = s.reference
                          ORDER BY t.version DESC LIMIT 1), 'OPEN') = 'OPEN'
         LIMIT 1
        """,
        account,
    )
    return reference


async def close(connection: Connection, account: int, principal: str) -> None:
    """Close the account; its triggers check that it may be. Call it under the head's lock.

    Raises:
        asyncpg.CheckViolationError: a rule refused it.
    """
    await connection.execute(
        "INSERT INTO account_closing (account_id, principal) VALUES ($1, $2)", account, principal
    )


async def describe(connection: Connection, account: int, metadata: Mapping[str, str]) -> None:
    """Note this about the account, in place of what was noted before."""
    await connection.execute(
        """
        INSERT INTO account_metadata (account_id, metadata) VALUES ($1, $2::jsonb)
        ON CONFLICT (account_id)
            DO UPDATE SET metadata = excluded.metadata, updated_at = statement_timestamp()
        """,
        account,
        json.dumps(dict(metadata)),
    )
