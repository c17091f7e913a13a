"""What a bettor's offers and bets add up to, and what has happened to whom: exposure, profit, records, histories."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.pg import Connection

from betting.domain.book import Level
from betting.domain.errors import OfferNotFound
from betting.domain.ids import MarketId, Minor, OfferId, UserId
from betting.domain.offers import Side
from betting.domain.ratios import BY_RANK
from betting.store.rows import minor


@dataclass(frozen=True, slots=True)
class Exposure:
    """What one bettor has at risk in a market that is not settled. Amounts in minor units.

    offered     in offers that rest or are being placed
    if_a, if_b  the net result of the bets made, before commission, if that side wins
    """

    market_id: MarketId
    currency: str
    offered: Minor
    staked: Minor
    if_a: Minor
    if_b: Minor


@dataclass(frozen=True, slots=True)
class Profit:
    """What a settled market brought a bettor: `payout - staked`, commission and tax taken."""

    market_id: MarketId
    currency: str
    version: int
    outcome: str
    staked: Minor
    payout: Minor
    commission: Minor
    withheld: Minor
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """The levels of a book that changed together, as they were then."""

    sequence: int
    at: datetime
    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of an event, a race, a market or an offer."""

    id: int
    was: str | None
    became: str
    actor: UUID | None
    reason: str
    at: datetime


class AccountStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def record(self, offer_id: OfferId, owner: UserId) -> str:
        """The wager record as it was written when the offer was placed. Raises OfferNotFound."""
        record: str | None = await self._conn.fetchval(
            "SELECT record FROM offer WHERE id = $1 AND user_id = $2", offer_id, owner
        )
        if record is None:
            raise OfferNotFound("no such offer")
        return record

    async def exposures(self, owner: UserId) -> list[Exposure]:
        """By market, only those not settled yet."""
        rows = await self._conn.fetch(
            """
            SELECT m.id, m.currency, o.offered, o.staked,
                   p.pot_a - o.staked AS if_a, p.pot_b - o.staked AS if_b
              FROM (SELECT market_id, sum(remaining) AS offered, sum(matched) AS staked
                      FROM offer WHERE user_id = $1 GROUP BY market_id) o
              JOIN market m ON m.id = o.market_id AND m.status NOT IN ('SETTLED', 'VOID')
              CROSS JOIN LATERAL (
                    SELECT coalesce(sum(pot) FILTER (WHERE side = 'A'), 0) AS pot_a,
                           coalesce(sum(pot) FILTER (WHERE side = 'B'), 0) AS pot_b
                      FROM (SELECT maker_side AS side, pot FROM fill WHERE maker_user = $1 AND market_id = m.id
                            UNION ALL
                            SELECT taker_side, pot FROM fill WHERE taker_user = $1 AND market_id = m.id) bet) p
             WHERE o.offered > 0 OR o.staked > 0 ORDER BY m.id LIMIT 1000
            """,
            owner,
        )
        return [
            Exposure(
                MarketId(row["id"]),
                row["currency"],
                *(minor(row[name], row["currency"]) for name in ("offered", "staked", "if_a", "if_b")),
            )
            for row in rows
        ]

    async def profits(
        self, owner: UserId, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> list[Profit]:
        """By settled market, the latest first; each in its last version."""
        rows = await self._conn.fetch(
            """
            SELECT s.market_id, m.currency, s.version, h.outcome, s.staked + s.late AS staked, s.payout, s.commission,
                   s.withheld, h.booked_at
              FROM settlement_share s
              JOIN market m ON m.id = s.market_id AND m.settlement = s.version
              JOIN settlement h ON h.market_id = s.market_id AND h.version = s.version AND h.booked_at IS NOT NULL
             WHERE s.user_id = $1 AND ($2::timestamptz IS NULL OR (h.booked_at, s.market_id) < ($2, $3::uuid))
             ORDER BY h.booked_at DESC, s.market_id DESC LIMIT $4
            """,
            owner,
            None if after is None else after[0],
            None if after is None else after[1],
            limit,
        )
        return [
            Profit(
                MarketId(row["market_id"]),
                row["currency"],
                row["version"],
                row["outcome"],
                minor(row["staked"], row["currency"]),
                minor(row["payout"], row["currency"]),
                minor(row["commission"], row["currency"]),
                minor(row["withheld"], row["currency"]),
                row["booked_at"],
            )
            for row in rows
        ]

    async def changes(self, market_id: MarketId, currency: str, *, after: int, limit: int) -> list[Change]:
        """Every change of the market's book after that sequence number, in order."""
        rows = await self._conn.fetch(
            """
            SELECT sequence, min(at) AS at, array_agg(side ORDER BY side, rank) AS sides,
                   array_agg(rank ORDER BY side, rank) AS ranks,
                   array_agg(amount::numeric ORDER BY side, rank) AS amounts
              FROM level_change WHERE market_id = $1 AND sequence > $2
             GROUP BY sequence ORDER BY sequence LIMIT $3
            """,
            market_id,
            after,
            limit,
        )
        return [
            Change(
                row["sequence"],
                row["at"],
                tuple(
                    Level(Side(side), BY_RANK[rank], minor(amount, currency))
                    for side, rank, amount in zip(row["sides"], row["ranks"], row["amounts"], strict=True)
                ),
            )
            for row in rows
        ]

    async def transitions(self, subject: UUID) -> Sequence[Transition]:
        """Every move of one thing, in order."""
        rows = await self._conn.fetch(
            "SELECT id, was, became, actor, reason, at FROM transition WHERE subject = $1 ORDER BY id LIMIT 1000",
            subject,
        )
        return [Transition(**dict(row)) for row in rows]
