"""Restarts of markets that were stopped: what betting's books say of one, and who signed."""

from datetime import datetime

from common.pg import Connection, translate

from betting.domain.agreement import OwnBooks, Staked
from betting.domain.errors import AlreadySigned
from betting.domain.ids import MarketId, OfferId, UserId
from betting.domain.markets import Market
from betting.store.rows import minor


class RestartStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def own_books(self, market: Market) -> OwnBooks:
        """What betting's books say of the market, in one transaction of one snapshot."""
        currency = market.terms.currency
        sums = await self._conn.fetchrow(
            """
            SELECT (SELECT coalesce(sum(pot), 0) FROM fill WHERE market_id = $1) AS pots,
                   (SELECT coalesce(sum(CASE kind WHEN 'PAY' THEN total ELSE -total END), 0)
                      FROM settlement_chunk WHERE market_id = $1 AND booked_at IS NOT NULL) AS paid
            """,
            market.id,
        )
        assert sums is not None  # noqa: S101 - a SELECT without FROM has a row
        offers = await self._conn.fetch(
            "SELECT id, user_id, matched, remaining, status FROM offer WHERE market_id = $1", market.id
        )
        return OwnBooks(
            escrow=market.escrow,
            pots=minor(sums["pots"], currency),
            paid=minor(sums["paid"], currency),
            offers={
                OfferId(row["id"]): Staked(
                    UserId(row["user_id"]),
                    minor(row["matched"], currency),
                    minor(row["remaining"], currency),
                    row["status"] == "PENDING",
                )
                for row in offers
            },
        )

    async def sign(
        self, market_id: MarketId, version: int, official: UserId, reason: str, now: datetime
    ) -> list[UserId]:
        """Who has signed that the market starts again after this very stop, the first first.

        Raises AlreadySigned.
        """
        with translate({"restart_is_signed_once": lambda: AlreadySigned("another official signs as well")}):
            await self._conn.execute(
                "INSERT INTO restart (market_id, version, official_id, reason, signed_at) VALUES ($1, $2, $3, $4, $5)",
                market_id, version, official, reason, now,
            )  # fmt: skip
        rows = await self._conn.fetch(
            "SELECT official_id FROM restart WHERE market_id = $1 AND version = $2 ORDER BY signed_at, official_id",
            market_id,
            version,
        )
        return [UserId(row["official_id"]) for row in rows]
