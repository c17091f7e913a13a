"""Settlements, their chunks and everybody's share."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.pg import Connection

from betting.domain.ids import MarketId, UserId
from betting.domain.offers import Side
from betting.domain.settlement import ChunkKind, Outcome, Position, Settlement, Share
from betting.store.rows import Row, minor, numeric, text


@dataclass(frozen=True, slots=True)
class Basis:
    """What a settlement was computed on. Bets matched after `late_after` are no bets; `tax` is withheld."""

    outcome: Outcome
    late_after: datetime | None
    tax: str | None
    withholding_bps: int
    result_version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Booked:
    """A settlement all of whose chunks the ledger has booked. Amounts are minor units."""

    outcome: Outcome
    reason: str
    total: int
    commission: int


class SettlementStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def awaiting(self, limit: int) -> list[MarketId]:
        """Closed markets whose fate is decided, and settled ones of races whose result was corrected."""
        rows = await self._conn.fetch(
            """
            (SELECT m.id FROM market m JOIN race r ON r.id = m.race_id
              WHERE m.status = 'CLOSED' AND (r.status = 'FINAL' OR m.void_reason IS NOT NULL) LIMIT $1)
            UNION ALL
            (SELECT m.id FROM race r JOIN market m ON m.race_id = r.id
              WHERE r.result_version > 1 AND r.status = 'FINAL' AND m.status IN ('SETTLED', 'VOID')
                AND m.void_reason IS NULL AND m.settled_result < r.result_version LIMIT $1)
            """,
            limit,
        )
        return [MarketId(row["id"]) for row in rows]

    async def unbooked_for(self, now: datetime) -> timedelta:
        """How long the oldest settlement that is on its way has waited to be booked. A stopped market's waits for people."""
        since: datetime | None = await self._conn.fetchval(
            """
            SELECT min(s.settled_at) FROM settlement s JOIN market m ON m.id = s.market_id
             WHERE s.booked_at IS NULL AND m.status = 'SETTLING'
            """
        )
        return timedelta() if since is None else max(timedelta(), now - since)

    async def positions(
        self, market_id: MarketId, late_after: datetime | None, currency: str
    ) -> list[Position]:
        """What every bettor has in the market."""
        rows = await self._conn.fetch("SELECT * FROM positions_in($1, $2)", market_id, late_after)

        def sides(row: Row, what: str) -> dict[Side, int]:
            return {side: minor(row[f"{what}_{side.value.lower()}"], currency) for side in Side}

        return [
            Position(
                user_id=UserId(row["user_id"]),
                stakes=sides(row, "stake"),
                pots=sides(row, "pot"),
                halves=sides(row, "half"),
                late=minor(row["late"], currency),
            )
            for row in rows
        ]

    async def basis(self, market_id: MarketId, version: int) -> Basis:
        row = await self._conn.fetchrow(
            "SELECT * FROM settlement WHERE market_id = $1 AND version = $2", market_id, version
        )
        if row is None:
            raise AssertionError(f"market {market_id} has no settlement {version}")
        return Basis(
            Outcome(row["outcome"]), row["late_after"], row["tax"], row["withholding_bps"],
            row["result_version"], row["reason"],
        )  # fmt: skip

    async def shares(self, market_id: MarketId, version: int, currency: str) -> dict[UserId, Share]:
        """Everybody's share in one version."""
        return {share.user_id: share for share, _, _ in await self.written(market_id, version, currency)}

    async def written(
        self, market_id: MarketId, version: int, currency: str
    ) -> list[tuple[Share, int | None, int | None]]:
        """Everybody's share in one version, and the numbers of the chunks that pay it and that recover for it."""
        rows = await self._conn.fetch(
            """
            SELECT user_id, staked, late, payout, commission, withheld, chunk, recovery FROM settlement_share
            WHERE market_id = $1 AND version = $2 ORDER BY user_id
            """,
            market_id,
            version,
        )
        amounts = ("staked", "late", "payout", "commission", "withheld")
        return [
            (
                Share(UserId(row["user_id"]), *(minor(row[name], currency) for name in amounts)),
                row["chunk"],
                row["recovery"],
            )
            for row in rows
        ]

    async def add(
        self,
        market_id: MarketId,
        version: int,
        settlement: Settlement,
        basis: Basis,
        currency: str,
        *,
        now: datetime,
    ) -> None:
        """Write a settlement down whole. One without chunks is booked at once: there is nothing to pay."""
        chunks = settlement.chunks
        await self._conn.execute(
            """
            INSERT INTO settlement (market_id, version, outcome, total, chunks, settled_at, booked_at, late_after, tax,
                withholding_bps, result_version, reason)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            """,
            market_id, version, settlement.outcome, numeric(settlement.total, currency), len(chunks), now,
            None if chunks else now, basis.late_after, basis.tax, basis.withholding_bps, basis.result_version,
            basis.reason,
        )  # fmt: skip
        await self._conn.execute(
            """
            INSERT INTO settlement_chunk (market_id, version, kind, chunk, total)
            SELECT $1, $2, * FROM unnest($3::text[], $4::integer[], $5::text[]::numeric[])
            """,
            market_id,
            version,
            [chunk.kind for chunk in chunks],
            [chunk.number for chunk in chunks],
            [text(chunk.total, currency) for chunk in chunks],
        )
        await self._add_shares(market_id, version, settlement, currency)

    async def _add_shares(
        self, market_id: MarketId, version: int, settlement: Settlement, currency: str
    ) -> None:
        paid = {move.user_id: chunk.number for chunk in settlement.payments for move in chunk.moves}
        recovered = {move.user_id: chunk.number for chunk in settlement.recoveries for move in chunk.moves}
        shares = settlement.shares
        await self._conn.execute(
            """
            INSERT INTO settlement_share (market_id, version, user_id, chunk, recovery, staked, late, payout, commission,
                withheld)
            SELECT $1, $2, * FROM unnest($3::uuid[], $4::integer[], $5::integer[], $6::text[]::numeric[],
                $7::text[]::numeric[], $8::text[]::numeric[], $9::text[]::numeric[], $10::text[]::numeric[])
            """,
            market_id,
            version,
            [share.user_id for share in shares],
            [paid.get(share.user_id) for share in shares],
            [recovered.get(share.user_id) for share in shares],
            [text(share.staked, currency) for share in shares],
            [text(share.late, currency) for share in shares],
            [text(share.payout, currency) for share in shares],
            [text(share.commission, currency) for share in shares],
            [text(share.withheld, currency) for share in shares],
        )

    async def booked_before(self, market_id: MarketId, version: int) -> int:
        """How many of the settlements before this version the ledger has booked: those that moved money."""
        number: int = await self._conn.fetchval(
            "SELECT count(*) FROM settlement WHERE market_id = $1 AND version < $2 AND chunks > 0",
            market_id,
            version,
        )
        return number

    async def version_booked_as(self, market_id: MarketId, number: int) -> int:
        """The version that the ledger knows as the market's `number`th."""
        version: int | None = await self._conn.fetchval(
            """
            SELECT version FROM settlement WHERE market_id = $1 AND chunks > 0 ORDER BY version OFFSET $2 - 1 LIMIT 1
            """,
            market_id,
            number,
        )
        if version is None:
            raise AssertionError(f"market {market_id} has not asked for {number} settlements")
        return version

    async def book_chunk(
        self,
        market_id: MarketId,
        version: int,
        kind: ChunkKind,
        chunk: int,
        *,
        entry_sequence: int,
        now: datetime,
    ) -> bool:
        """Note that the ledger booked a chunk. True if no chunk of the settlement is left to book."""
        await self._conn.execute(
            """
            UPDATE settlement_chunk SET entry_sequence = $5, booked_at = $6
            WHERE market_id = $1 AND version = $2 AND kind = $3 AND chunk = $4 AND booked_at IS NULL
            """,
            market_id, version, kind, chunk, entry_sequence, now,
        )  # fmt: skip
        return await self.is_whole(market_id, version)

    async def refuse_chunk(self, market_id: MarketId, version: int, chunk: int, *, refusals: int) -> None:
        """Note that the ledger refused a chunk, for that many times now."""
        await self._conn.execute(
            """
            UPDATE settlement_chunk SET refusals = greatest(refusals, $4)
            WHERE market_id = $1 AND version = $2 AND chunk = $3 AND booked_at IS NULL
            """,
            market_id,
            version,
            chunk,
            refusals,
        )

    async def refused_chunks(self, market_id: MarketId, version: int) -> dict[int, int]:
        """How often each chunk was refused that has not been booked: only those that were."""
        rows = await self._conn.fetch(
            """
            SELECT chunk, refusals FROM settlement_chunk
            WHERE market_id = $1 AND version = $2 AND booked_at IS NULL AND refusals > 0
            """,
            market_id,
            version,
        )
        return {row["chunk"]: row["refusals"] for row in rows}

    async def is_whole(self, market_id: MarketId, version: int) -> bool:
        """Whether no chunk of the settlement is left to book."""
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
            RETURNING outcome, total, reason, (SELECT coalesce(sum(commission), 0) FROM settlement_share
                                               WHERE market_id = $1 AND version = $2) AS commission
            """,
            market_id,
            version,
            now,
        )
        assert row is not None  # noqa: S101 - the chunk just booked has a foreign key to it
        return Booked(
            Outcome(row["outcome"]),
            row["reason"],
            minor(row["total"], currency),
            minor(row["commission"], currency),
        )
