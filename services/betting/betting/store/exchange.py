"""Markets, offers and fills: the hot path. Few statements, each over whole sets.

Every lock of a market is FOR NO KEY UPDATE: it excludes every other change of the market, but not the foreign-key
look-ups of offers being written down.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from common.pg import Connection, translate

from betting.domain.errors import MarketExists, MarketNotFound, OfferKeyUsed, OfferNotFound
from betting.domain.ids import MarketId, Minor, OfferId, RaceId, UserId
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

    async def reject(self, offer: Offer, *, now: datetime) -> None:
        """Write that a pending offer never took part: its market is not concerned, and not locked."""
        await self._conn.execute(
            """
            UPDATE offer SET status = 'REJECTED', remaining = 0, released = stake, ending = $2, ended_at = $3
            WHERE id = $1
            """,
            offer.id,
            offer.ending,
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

    # -- everything that happened in a market

    async def save(
        self,
        market: Market,
        *,
        now: datetime,
        offers: Sequence[Offer] = (),
        fills: Sequence[tuple[Fill, int]] = (),
        closed_at: datetime | None = None,
    ) -> None:
        """Write how a locked market and some of its offers stand now, and the bets that were made.

        Each bet comes with its sequence. One statement: every round trip is waited for by all who want the market.
        """
        currency = market.terms.currency

        def money(amounts: Iterable[Minor]) -> list[Decimal]:
            return [numeric(amount, currency) for amount in amounts]

        bets = [fill for fill, _ in fills]
        await self._conn.execute(
            _SAVE,
            market.id,
            market.status,
            market.version,
            market.sequence,
            numeric(market.escrow, currency),
            market.defect,
            closed_at,
            now,
            [offer.id for offer in offers],
            [offer.status for offer in offers],
            [offer.sequence for offer in offers],
            money(offer.matched for offer in offers),
            money(offer.remaining for offer in offers),
            money(offer.released for offer in offers),
            [offer.ending for offer in offers],
            [bet.id for bet in bets],
            [sequence for _, sequence in fills],
            [bet.maker.id for bet in bets],
            [bet.maker.user_id for bet in bets],
            [bet.maker.side for bet in bets],
            money(bet.maker_stake for bet in bets),
            [bet.maker.ratio.risk for bet in bets],
            [bet.maker.ratio.win for bet in bets],
            [bet.taker.id for bet in bets],
            [bet.taker.user_id for bet in bets],
            [bet.taker.side for bet in bets],
            money(bet.taker_stake for bet in bets),
            [bet.taker.ratio.risk for bet in bets],
            [bet.taker.ratio.win for bet in bets],
            [bet.lots for bet in bets],
            money(bet.pot for bet in bets),
        )


_SAVE = """
    WITH moved AS (
        UPDATE market SET status = $2, version = $3, sequence = $4, escrow = $5, defect = $6,
               closed_at = coalesce(closed_at, $7)
         WHERE id = $1),
    changed AS (
        UPDATE offer o
           SET status = n.status, sequence = n.sequence, matched = n.matched, remaining = n.remaining,
               released = n.released, ending = n.ending,
               ended_at = CASE WHEN n.remaining = 0 THEN $8::timestamptz END
          FROM unnest($9::uuid[], $10::text[], $11::bigint[], $12::numeric[], $13::numeric[], $14::numeric[],
                      $15::text[]) AS n (id, status, sequence, matched, remaining, released, ending)
         WHERE o.id = n.id)
    INSERT INTO fill (market_id, matched_at, id, sequence, maker_offer, maker_user, maker_side, maker_stake, risk, win,
        taker_offer, taker_user, taker_side, taker_stake, taker_risk, taker_win, lots, pot)
    SELECT $1, $8, * FROM unnest(
        $16::uuid[], $17::bigint[], $18::uuid[], $19::uuid[], $20::text[], $21::numeric[], $22::smallint[],
        $23::smallint[], $24::uuid[], $25::uuid[], $26::text[], $27::numeric[], $28::smallint[], $29::smallint[],
        $30::bigint[], $31::numeric[])
"""
