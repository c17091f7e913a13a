"""What others know of people: identity, who has excluded themselves; the ledger, who owes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.pg import Connection

from betting.domain.ids import Minor, UserId
from betting.store.rows import minor, text


@dataclass(frozen=True, slots=True)
class Debt:
    """What a player owes, and the number of the posting after which it was so much."""

    user_id: UserId
    currency: str
    owed: Minor
    sequence: int


class PeopleStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def exclude(self, user: UserId, until: datetime | None, *, changed_at: datetime) -> None:
        """Note until when somebody is excluded (None: they are not), unless a later word is known."""
        await self._conn.execute(
            """
            INSERT INTO exclusion (user_id, until, changed_at) VALUES ($1, $2, $3)
            ON CONFLICT (user_id) DO UPDATE SET until = excluded.until, changed_at = excluded.changed_at
            WHERE exclusion.changed_at < excluded.changed_at
            """,
            user,
            until,
            changed_at,
        )

    async def owe(self, debts: Sequence[Debt]) -> None:
        """Note what is owed, where no later word is known."""
        await self._conn.execute(
            """
            INSERT INTO debt (user_id, currency, owed, sequence)
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]::numeric[], $4::bigint[])
            ON CONFLICT (user_id, currency) DO UPDATE SET owed = excluded.owed, sequence = excluded.sequence
            WHERE debt.sequence < excluded.sequence
            """,
            [debt.user_id for debt in debts],
            [debt.currency for debt in debts],
            [text(debt.owed, debt.currency) for debt in debts],
            [debt.sequence for debt in debts],
        )

    async def debtors(self, *, now: datetime, tried_before: datetime, limit: int) -> list[Debt]:
        """Take debts that were not tried lately, the longest ago first."""
        rows = await self._conn.fetch(
            """
            UPDATE debt SET tried_at = $1 WHERE (user_id, currency) IN (
                SELECT user_id, currency FROM debt WHERE owed > 0 AND tried_at < $2
                ORDER BY tried_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING user_id, currency, owed, sequence
            """,
            now,
            tried_before,
            limit,
        )
        return [
            Debt(
                UserId(row["user_id"]), row["currency"], minor(row["owed"], row["currency"]), row["sequence"]
            )
            for row in rows
        ]
