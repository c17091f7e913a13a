"""What disputes do to the books, and what of lost ones their players have paid."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.money import Money
from common.pg import Connection

from payments.domain.accounts import PlayerId
from payments.domain.disputes import DisputeEntry, Recovery, Shortfall, Step


class DisputeEntryStore:
    """Disputes' entries on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def due(self, limit: int) -> Sequence[DisputeEntry]:
        """What is to be asked of the ledger next, as the files and the disputes say."""
        rows = await self._conn.fetch(
            """
            SELECT due.dispute_id, due.step, due.amount, o.currency, p.psp, p.id AS payment_id
              FROM dispute_entry_due due
              JOIN card_dispute d ON d.psp_id = due.dispute_id
              JOIN card_operation o ON o.id = d.operation_id
              JOIN card_payment p ON p.id = o.payment_id
             ORDER BY due.dispute_id, due.step LIMIT $1
            """,
            limit,
        )
        return [
            DisputeEntry(
                row["dispute_id"],
                Step(row["step"]),
                Money(row["amount"], row["currency"]),
                row["psp"],
                f"cards/{row['payment_id']}",
            )
            for row in rows
        ]

    async def ask(self, entry: DisputeEntry, now: datetime) -> bool:
        """It is asked of the ledger; False when it was before."""
        await self._lock(entry.dispute_id)
        asked = await self._conn.fetchval(
            """
            INSERT INTO dispute_entry (id, dispute_id, step, amount, asked_at)
            SELECT $1, dispute_id, step, amount, $5 FROM dispute_entry_due WHERE (dispute_id, step, amount) = ($2, $3, $4)
            RETURNING true
            """,
            entry.id,
            entry.dispute_id,
            entry.step,
            entry.amount.amount,
            now,
        )
        return bool(asked)

    async def booked(self, entry_id: UUID, now: datetime) -> bool:
        """The ledger has booked it; False when that was known, or it is none of ours."""
        booked = await self._conn.fetchval(
            "UPDATE dispute_entry SET booked_at = $2 WHERE id = $1 AND booked_at IS NULL RETURNING true",
            entry_id,
            now,
        )
        return bool(booked)

    async def operation_of(self, entry_id: UUID) -> UUID | None:
        """The operation whose dispute an entry is about."""
        found: UUID | None = await self._conn.fetchval(
            "SELECT d.operation_id FROM dispute_entry e JOIN card_dispute d ON d.psp_id = e.dispute_id WHERE e.id = $1",
            entry_id,
        )
        return found

    async def shortfalls(self, since: datetime) -> Sequence[Shortfall]:
        """Disputes whose loss was booked since then and is not made up for."""
        rows = await self._conn.fetch(
            """
            SELECT e.dispute_id, p.player, p.id AS payment_id, o.currency, r.id AS asked, r.amount AS asked_amount,
                   e.amount - (SELECT coalesce(sum(t.amount), 0) FROM dispute_recovery t
                                WHERE t.dispute_id = e.dispute_id AND t.state <> 'REFUSED') AS rest
              FROM dispute_entry e
              JOIN card_dispute d ON d.psp_id = e.dispute_id
              JOIN card_operation o ON o.id = d.operation_id
              JOIN card_payment p ON p.id = o.payment_id
              LEFT JOIN dispute_recovery r ON r.dispute_id = e.dispute_id AND r.state = 'ASKED'
             WHERE e.step = 'lost' AND (e.booked_at >= $1 OR r.id IS NOT NULL)
             ORDER BY e.booked_at, e.dispute_id
            """,
            since,
        )
        return [
            Shortfall(
                row["dispute_id"],
                PlayerId(row["player"]),
                f"cards/{row['payment_id']}",
                Money(row["rest"], row["currency"]),
                None
                if row["asked"] is None
                else Recovery(row["asked"], Money(row["asked_amount"], row["currency"])),
            )
            for row in rows
            if row["rest"] > 0 or row["asked"] is not None
        ]

    async def ask_back(self, shortfall: Shortfall, recovery: Recovery, now: datetime) -> bool:
        """So much of it is about to be asked of the player; False when somebody else asks, or less is left by now."""
        await self._lock(shortfall.dispute_id)
        asked = await self._conn.fetchval(
            """
            INSERT INTO dispute_recovery (id, dispute_id, amount, asked_at)
            SELECT $1, e.dispute_id, $3::numeric, $4 FROM dispute_entry e
             WHERE (e.dispute_id, e.step) = ($2, 'lost')
               AND NOT EXISTS (SELECT FROM dispute_recovery r WHERE (r.dispute_id, r.state) = (e.dispute_id, 'ASKED'))
               AND $3::numeric <= e.amount - (SELECT coalesce(sum(r.amount), 0) FROM dispute_recovery r
                                      WHERE (r.dispute_id, r.state) = (e.dispute_id, 'BOOKED'))
            RETURNING true
            """,
            recovery.id,
            shortfall.dispute_id,
            recovery.amount.amount,
            now,
        )
        return bool(asked)

    async def end_recovery(self, recovery: Recovery, *, booked: bool) -> None:
        """What the ledger made of it. Repeated, it changes nothing."""
        await self._conn.execute(
            "UPDATE dispute_recovery SET state = $2 WHERE id = $1 AND state = 'ASKED'",
            recovery.id,
            "BOOKED" if booked else "REFUSED",
        )

    async def _lock(self, dispute_id: str) -> None:
        await self._conn.execute("SELECT FROM card_dispute WHERE psp_id = $1 FOR UPDATE", dispute_id)
