"""Markets, offers and fills: the hot path. Few statements, each over whole sets.

Every lock of a market is FOR NO KEY UPDATE: it excludes every other change of the market, but not the foreign-key
look-ups of offers being written down.
"""

from collections.abc import Sequence
from datetime import datetime

from common.pg import Connection, translate

from betting.domain.errors import MarketExists, MarketNotFound, OfferKeyUsed, OfferNotFound
from betting.domain.ids import MarketId, OfferId, RaceId, UserId
from betting.domain.markets import Market
from betting.domain.matching import Fill, can_fill
from betting.domain.offers import Offer
from betting.store.rows import MARKET_COLUMNS, OFFER_COLUMNS, market_of, numeric, offer_of

MAKERS_PER_READ = 64


class ExchangeStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    # -- markets

    async def add_market(self, market: Market, *, opened_by: UserId, now: datetime) -> None:
        """Raises MarketExists."""
        terms = market.terms
        with translate({"market_is_unique": lambda: MarketExists("the race has a market already")}):
            await self._conn.execute(
                """
                INSERT INTO market (id, race_id, kind, runner_a, runner_b, currency, commission_bps, tie_rule,
                    min_stake, max_stake, terms_hash, status, version, sequence, opened_by, opened_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
                """,
                market.id, terms.race_id, terms.kind, terms.runner_a, terms.runner_b, terms.currency,
                terms.commission_bps, terms.tie_rule, numeric(terms.min_stake, terms.currency),
                numeric(terms.max_stake, terms.currency), terms.digest, market.status, market.version,
                market.sequence, opened_by, now,
            )  # fmt: skip

    async def market(self, market_id: MarketId) -> Market:
        """As it is now; it may change at any moment. Raises MarketNotFound."""
        row = await self._conn.fetchrow(f"SELECT {MARKET_COLUMNS} FROM market WHERE id = $1", market_id)
        if row is None:
            raise MarketNotFound("no such market")
        return market_of(row)

    async def market_for_update(self, market_id: MarketId) -> Market:
        """Locked: nothing else happens in the market before this transaction ends. Raises MarketNotFound."""
        row = await self._conn.fetchrow(
            f"SELECT {MARKET_COLUMNS} FROM market WHERE id = $1 FOR NO KEY UPDATE", market_id
        )
        if row is None:
            raise MarketNotFound("no such market")
        return market_of(row)

    async def market_of_race_for_update(self, race_id: RaceId) -> Market | None:
        row = await self._conn.fetchrow(
            f"SELECT {MARKET_COLUMNS} FROM market WHERE race_id = $1 FOR NO KEY UPDATE", race_id
        )
        return None if row is None else market_of(row)

    async def save_market(self, market: Market, *, closed_at: datetime | None = None) -> None:
        await self._conn.execute(
            """
            UPDATE market SET status = $2, version = $3, sequence = $4, escrow = $5, defect = $6,
                   closed_at = coalesce(closed_at, $7)
            WHERE id = $1
            """,
            market.id, market.status, market.version, market.sequence,
            numeric(market.escrow, market.terms.currency), market.defect, closed_at,
        )  # fmt: skip

    # -- offers

    async def add_offer(self, offer: Offer, currency: str, *, key: str, next_attempt_at: datetime) -> None:
        """Write a PENDING offer down. Raises OfferKeyUsed if its bettor's key made an offer before."""
        with translate({"offer_key_is_used_once": lambda: OfferKeyUsed("this key placed an offer long ago")}):
            await self._conn.execute(
                """
                INSERT INTO offer (id, market_id, market_version, user_id, idempotency_key, side, risk, win, rank,
                    stake, remaining, status, next_attempt_at, placed_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
                """,
                offer.id, offer.market_id, offer.market_version, offer.user_id, key, offer.side,
                offer.ratio.risk, offer.ratio.win, offer.ratio.rank, numeric(offer.stake, currency),
                numeric(offer.remaining, currency), offer.status, next_attempt_at, offer.placed_at,
            )  # fmt: skip

    async def offer(self, offer_id: OfferId) -> Offer:
        """Raises OfferNotFound."""
        row = await self._conn.fetchrow(
            f"SELECT {OFFER_COLUMNS}, m.currency FROM offer o JOIN market m ON m.id = o.market_id WHERE o.id = $1",
            offer_id,
        )
        if row is None:
            raise OfferNotFound("no such offer")
        return offer_of(row, row["currency"])

    async def market_of_offer(self, offer_id: OfferId, owner: UserId) -> MarketId:
        """Raises OfferNotFound, also for another bettor's offer."""
        market_id: MarketId | None = await self._conn.fetchval(
            "SELECT market_id FROM offer WHERE id = $1 AND user_id = $2", offer_id, owner
        )
        if market_id is None:
            raise OfferNotFound("no such offer")
        return market_id

    async def pending(self, offer_id: OfferId) -> tuple[Offer, str] | None:
        """An offer still to be finished and the key it was placed under; None if somebody finished it."""
        row = await self._conn.fetchrow(
            f"""
            SELECT {OFFER_COLUMNS}, o.idempotency_key, m.currency FROM offer o JOIN market m ON m.id = o.market_id
            WHERE o.id = $1 AND o.status = 'PENDING'
            """,
            offer_id,
        )
        return None if row is None else (offer_of(row, row["currency"]), row["idempotency_key"])

    async def makers(self, taker: Offer, currency: str) -> list[Offer]:
        """The resting offers that `taker` can meet, in price-time order: enough to decide its fate."""
        makers: list[Offer] = []
        while True:
            last = makers[-1] if makers else None
            rows = await self._conn.fetch(
                f"""
                SELECT {OFFER_COLUMNS} FROM offer o
                WHERE o.market_id = $1 AND o.side = $2 AND o.status IN ('OPEN', 'PARTIAL') AND o.rank >= $3
                  AND ($4::smallint IS NULL OR (-o.rank, o.sequence) > (-$4, $5::bigint))
                ORDER BY o.rank DESC, o.sequence LIMIT {MAKERS_PER_READ}
                """,
                taker.market_id,
                taker.side.opposite,
                taker.ratio.inverse.rank,
                None if last is None else last.ratio.rank,
                None if last is None else last.sequence,
            )
            makers += [offer_of(row, currency) for row in rows]
            if len(rows) < MAKERS_PER_READ or can_fill(taker, makers):
                return makers

    async def resting(self, market_id: MarketId, currency: str) -> list[Offer]:
        """Every offer resting in the market, the earliest first."""
        rows = await self._conn.fetch(
            f"""
            SELECT {OFFER_COLUMNS} FROM offer o
            WHERE o.market_id = $1 AND o.side IN ('A', 'B') AND o.status IN ('OPEN', 'PARTIAL') ORDER BY o.sequence
            """,
            market_id,
        )
        return [offer_of(row, currency) for row in rows]

    async def save_offers(self, offers: Sequence[Offer], currency: str, *, now: datetime) -> None:
        """Write how offers stand now. Their market is locked, so no two writers meet here."""
        await self._conn.execute(
            """
            UPDATE offer o
               SET status = n.status, sequence = n.sequence, matched = n.matched, remaining = n.remaining,
                   released = n.released, ending = n.ending, ended_at = CASE WHEN n.live THEN NULL ELSE $9::timestamptz END
              FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::numeric[], $5::numeric[], $6::numeric[],
                          $7::text[], $8::boolean[])
                   AS n (id, status, sequence, matched, remaining, released, ending, live)
             WHERE o.id = n.id
            """,
            [offer.id for offer in offers],
            [offer.status for offer in offers],
            [offer.sequence for offer in offers],
            [numeric(offer.matched, currency) for offer in offers],
            [numeric(offer.remaining, currency) for offer in offers],
            [numeric(offer.released, currency) for offer in offers],
            [offer.ending for offer in offers],
            [offer.is_live for offer in offers],
            now,
        )

    async def due(self, *, now: datetime, longest_wait_seconds: int, limit: int) -> list[tuple[Offer, str]]:
        """Take PENDING offers whose time has come. Each is put off for others, twice as long every time.

        Each comes with its market's currency.
        """
        rows = await self._conn.fetch(
            f"""
            UPDATE offer o
               SET attempts = least(o.attempts + 1, 30),
                   next_attempt_at = $1::timestamptz + make_interval(secs => least(power(2, o.attempts), $2::float8))
              FROM market m
             WHERE m.id = o.market_id AND o.id IN (
                   SELECT id FROM offer WHERE status = 'PENDING' AND next_attempt_at <= $1
                   ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING {OFFER_COLUMNS}, m.currency
            """,
            now,
            longest_wait_seconds,
            limit,
        )
        return [(offer_of(row, row["currency"]), row["currency"]) for row in rows]

    # -- bets

    async def add_fills(self, fills: Sequence[tuple[Fill, int]], currency: str, *, now: datetime) -> None:
        """Write bets, each with its sequence in the market."""
        await self._conn.execute(
            """
            INSERT INTO fill (id, market_id, sequence, maker_offer, maker_user, maker_side, maker_stake, risk, win,
                taker_offer, taker_user, taker_side, taker_stake, taker_risk, taker_win, lots, pot, matched_at)
            SELECT n.id, taker.market_id, n.sequence,
                   maker.id, maker.user_id, maker.side, n.maker_stake, maker.risk, maker.win,
                   taker.id, taker.user_id, taker.side, n.taker_stake, taker.risk, taker.win,
                   n.lots, n.pot, $8
              FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::numeric[], $6::numeric[], $7::numeric[])
                   AS n (id, sequence, maker, lots, maker_stake, taker_stake, pot)
              JOIN offer maker ON maker.id = n.maker
              JOIN offer taker ON taker.id = $9
            """,
            [fill.id for fill, _ in fills],
            [sequence for _, sequence in fills],
            [fill.maker.id for fill, _ in fills],
            [fill.lots for fill, _ in fills],
            [numeric(fill.maker_stake, currency) for fill, _ in fills],
            [numeric(fill.taker_stake, currency) for fill, _ in fills],
            [numeric(fill.pot, currency) for fill, _ in fills],
            now,
            fills[0][0].taker.id,
        )
