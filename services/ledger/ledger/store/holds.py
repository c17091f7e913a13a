"""One hold as it is."""

from __future__ import annotations

from uuid import UUID

from common.pg import Connection

from ledger.domain.holding import HoldState


async def hold_state(connection: Connection, ledger: int, id: UUID) -> HoldState | None:
    """The hold, or None when this ledger has none of that id."""
    row = await connection.fetchrow(
        """
        SELECT h.id, a.path, o.path AS origin, a.currency, h.reference, h.opened, h.captured, h.released,
               h.remaining, h.expired, h.expires_at
          FROM hold h
          JOIN account a ON a.id = h.account_id
          LEFT JOIN account o ON o.id = h.origin_id
         WHERE h.ledger_id = $1 AND h.id = $2
        """,
        ledger,
        id,
    )
    return HoldState(*row) if row else None
