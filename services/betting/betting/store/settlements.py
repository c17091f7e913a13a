"""Settlements, their chunks and everybody's share."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.pg import Connection

from betting.domain.ids import MarketId, UserId
from betting.domain.offers import Side
from betting.domain.settlement import Outcome, Position, Settlement
from betting.store.rows import minor, numeric


@dataclass(frozen=True, slots=True)
class Booked:
    """A settlement all of whose chunks the ledger has booked. Amounts are minor units."""

    outcome: Outcome
    total: int
    commission: int


class SettlementStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def awaiting(self, limit: int) -> list[MarketId]:
        """Closed markets of races whose fate is decided."""
        rows = await self._conn.fetch(
            """
            SELECT m.id FROM market m JOIN race r ON r.id = m.race_id
            WHERE m.status = 'CLOSED' AND r.status IN ('FINAL', 'NO_CORRE') LIMIT $1
            """,
            limit,
        )
        return [MarketId(row["id"]) for row in rows]

    async def positions(self, market_id: MarketId, currency: str) -> list[Position]:
        """What every bettor has in the market."""
        rows = await self._conn.fetch(
            "SELECT user_id, stake_a, stake_b, pot_a, pot_b FROM market_position WHERE market_id = $1",
            market_id,
        )
        return [
            Position(
                user_id=UserId(row["user_id"]),
                stakes={Side.A: minor(row["stake_a"], currency), Side.B: minor(row["stake_b"], currency)},
                pots={Side.A: minor(row["pot_a"], currency), Side.B: minor(row["pot_b"], currency)},
            )
            for row in rows
        ]

    async def add(
        self, market_id: MarketId, version: int, settlement: Settlement, currency: str, *, now: datetime
    ) -> None:
        """Write a settlement down whole. One without chunks is booked at once: there is nothing to pay."""
        chunks = settlement.chunks
        await self._conn.execute(
            """
            INSERT INTO settlement (market_id, version, outcome, total, chunks, settled_at, booked_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            market_id, version, settlement.outcome, numeric(settlement.total, currency), len(chunks), now,
            None if chunks else now,
        )  # fmt: skip
        await self._conn.execute(
            """
            INSERT INTO settlement_chunk (market_id, version, chunk, total)
            SELECT $1, $2, * FROM unnest($3::integer[], $4::numeric[])
            """,
            market_id,
            version,
            [chunk.number for chunk in chunks],
            [numeric(chunk.total, currency) for chunk in chunks],
        )
        await self._add_shares(market_id, version, settlement, currency)

    async def _add_shares(
        self, market_id: MarketId, version: int, settlement: Settlement, currency: str
    ) -> None:
        paid_in = {share.user_id: chunk.number for chunk in settlement.chunks for share in chunk.shares}
        shares: Sequence[tuple[UserId, int | None, object, object, object]] = [
            (
                share.user_id,
                paid_in.get(share.user_id),
                numeric(share.staked, currency),
                numeric(share.payout, currency),
                numeric(share.commission, currency),
            )
            for share in settlement.shares
        ]
        await self._conn.execute(
            """
            INSERT INTO settlement_share (market_id, version, user_id, chunk, staked, payout, commission)
            SELECT $1, $2, * FROM unnest($3::uuid[], $4::integer[], $5::numeric[], $6::numeric[], $7::numeric[])
            """,
            market_id,
            version,
            *([share[column] for share in shares] for column in range(5)),
        )

    async def book_chunk(
        self, market_id: MarketId, version: int, chunk: int, *, entry_sequence: int, now: datetime
    ) -> bool:
        """Note that the ledger booked a chunk. True if no chunk of the settlement is left to book."""
        await self._conn.execute(
            """
            UPDATE settlement_chunk SET entry_sequence = $4, booked_at = $5
            WHERE market_id = $1 AND version = $2 AND chunk = $3 AND booked_at IS NULL
            """,
            market_id, version, chunk, entry_sequence, now,
        )  # fmt: skip
        whole: bool = await self._conn.fetchval(
            """
            SELECT NOT EXISTS (SELECT FROM settlement_chunk
                               WHERE market_id = $1 AND version = $2 AND booked_at IS NULL)
            """,
            market_id,
            version,
        )
        return whole

    async def book(self, market_id: MarketId, version: int, currency: str, *, now: datetime) -> Booked:
        """Note that the whole settlement is booked."""
        row = await self._conn.fetchrow(
            """
            UPDATE settlement SET booked_at = $3 WHERE market_id = $1 AND version = $2
            RETURNING outcome, total, (SELECT coalesce(sum(commission), 0) FROM settlement_share
                                       WHERE market_id = $1 AND version = $2) AS commission
            """,
            market_id,
            version,
            now,
        )
        assert row is not None  # noqa: S101 - the chunk just booked has a foreign key to it
        return Booked(
            Outcome(row["outcome"]), minor(row["total"], currency), minor(row["commission"], currency)
        )
