"""Suspensions: imposed, in force, lifted; and the markets they concern."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from common.pg import Connection, translate

from betting.domain.errors import BettingSuspended, SuspensionNotFound
from betting.domain.ids import MarketId, SuspensionId, UserId
from betting.domain.offers import Ending


class Scope(StrEnum):
    """How far a suspension reaches."""

    GLOBAL = "GLOBAL"
    EVENT = "EVENT"
    MARKET = "MARKET"
    USER = "USER"


@dataclass(frozen=True, slots=True)
class Suspension:
    """`subject` is the event, market or user concerned; none if it is everything."""

    id: SuspensionId
    scope: Scope
    subject: UUID | None
    reason: str
    imposed_by: UserId
    imposed_at: datetime
    lifted_by: UserId | None = None
    lifted_at: datetime | None = None
    lift_reason: str | None = None


_COLUMNS = "id, scope, subject, reason, imposed_by, imposed_at, lifted_by, lifted_at, lift_reason"
# Which suspension in force stops a market m.
_STOPS = """
    s.lifted_at IS NULL AND (s.scope = 'GLOBAL' OR s.scope = 'MARKET' AND s.subject = m.id
        OR s.scope = 'EVENT' AND s.subject = (SELECT event_id FROM race r WHERE r.id = m.race_id))
"""


class SuspensionStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def impose(self, suspension: Suspension) -> None:
        """Raises BettingSuspended if the like is in force."""
        again = {"suspension_in_force_once": lambda: BettingSuspended("that is suspended already")}
        with translate(again):
            await self._conn.execute(
                """
                INSERT INTO suspension (id, scope, subject, reason, imposed_by, imposed_at)
                VALUES ($1, $2, $3, $4, $5, $6)
                """,
                suspension.id, suspension.scope, suspension.subject, suspension.reason, suspension.imposed_by,
                suspension.imposed_at,
            )  # fmt: skip

    async def lift(self, id: SuspensionId, by: UserId, why: str, now: datetime) -> Suspension:
        """Raises SuspensionNotFound unless it is in force."""
        row = await self._conn.fetchrow(
            f"""
            UPDATE suspension SET lifted_by = $2, lift_reason = $3, lifted_at = $4
            WHERE id = $1 AND lifted_at IS NULL RETURNING {_COLUMNS}
            """,
            id, by, why, now,
        )  # fmt: skip
        if row is None:
            raise SuspensionNotFound("no such suspension is in force")
        return Suspension(**{**dict(row), "scope": Scope(row["scope"])})

    async def stopping(self, market_id: MarketId) -> Suspension | None:
        """A suspension in force that stops the market."""
        row = await self._conn.fetchrow(
            f"""
            SELECT {", ".join("s." + column for column in _COLUMNS.split(", "))}
              FROM market m JOIN suspension s ON {_STOPS} WHERE m.id = $1 ORDER BY s.imposed_at LIMIT 1
            """,
            market_id,
        )
        return None if row is None else Suspension(**{**dict(row), "scope": Scope(row["scope"])})

    async def out_of_step(self, limit: int) -> list[MarketId]:
        """Markets that are open though a suspension in force stops them, or suspended though none does."""
        rows = await self._conn.fetch(
            f"""
            SELECT m.id FROM market m
             WHERE m.status IN ('OPEN', 'SUSPENDED') AND m.defect IS NULL
               AND (m.status = 'OPEN') = EXISTS (SELECT FROM suspension s WHERE {_STOPS})
             ORDER BY m.id LIMIT $1
            """,
            limit,
        )
        return [MarketId(row["id"]) for row in rows]

    async def barred_with_offers(self, limit: int) -> dict[UserId, Ending]:
        """People who may not bet now and still have offers resting, and why those end."""
        rows = await self._conn.fetch(
            """
            (SELECT s.subject AS user_id, 'BETTOR_SUSPENDED' AS why FROM suspension s
              WHERE s.scope = 'USER' AND s.lifted_at IS NULL
                AND EXISTS (SELECT FROM offer o WHERE o.user_id = s.subject AND o.status IN ('OPEN', 'PARTIAL')) LIMIT $1)
            UNION ALL
            (SELECT x.user_id, 'BETTOR_EXCLUDED' FROM exclusion x
              WHERE x.until > now()
                AND EXISTS (SELECT FROM offer o WHERE o.user_id = x.user_id AND o.status IN ('OPEN', 'PARTIAL')) LIMIT $1)
            """,
            limit,
        )
        return {UserId(row["user_id"]): Ending(row["why"]) for row in rows}
