"""Markets, offers and fills: the hot path. Few statements, each over whole sets.

Every lock of a market is FOR NO KEY UPDATE: it excludes every other change of the market, but not the foreign-key
look-ups of offers being written down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from common.pg import Connection, translate

from betting.domain.book import Level
from betting.domain.errors import MarketExists, MarketNotFound, OfferNotFound
from betting.domain.ids import MarketId, Minor, OfferId, RaceId, UserId
from betting.domain.markets import Market
from betting.domain.matching import Fill
from betting.domain.offers import Offer
from betting.store.rows import MARKET_COLUMNS, OFFER_COLUMNS, market_of, numeric, offer_of, text


@dataclass(frozen=True, slots=True)
class Moved:
    """An offer as it stands now, and who made it so (None: the platform) and why."""

    offer: Offer
    actor: UserId | None
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An offer as it was found, the key it was placed under, whether its bettor is suspended, and whether the offer is
    forbidden to them by now."""

    offer: Offer
    key: str
    suspended: bool
    forbidden: bool


@dataclass(frozen=True, slots=True)
class Change:
    """How a locked market and some of its offers stand now, and the bets that were made.

    Each bet comes with its sequence; `levels` are what the public sees of it, under the market's.
    """

    market: Market
    offers: Sequence[Moved] = ()
    fills: Sequence[tuple[Fill, int]] = ()
    levels: Sequence[Level] = ()


class ExchangeStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    # -- markets

    async def add_market(self, market: Market, *, opened_by: UserId, now: datetime) -> None:
        """Raises MarketExists."""
        terms = market.terms
        with translate({"market_is_unique": lambda: MarketExists("the race has this market already")}):
            await self._conn.execute(
                """
                INSERT INTO market (id, race_id, kind, runner_a, runner_b, giver, line, currency, commission_bps,
                    tie_rule, min_stake, max_stake, max_exposure, close_rule, closes_at, objection_seconds, permit,
                    terms, terms_hash, status, version, sequence, opened_by, opened_at, moved_by, moved_why)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                        $21, $22, $23, $24, $23, 'drafted')
                """,
                market.id, terms.race_id, terms.kind, terms.runner_a, terms.runner_b, terms.giver, terms.line,
                terms.currency, terms.commission_bps, terms.tie_rule, numeric(terms.min_stake, terms.currency),
                numeric(terms.max_stake, terms.currency), numeric(terms.max_exposure, terms.currency),
                terms.close_rule, terms.closes_at, terms.objection_seconds, terms.permit, terms.wording,
                terms.digest, market.status, market.version, market.sequence, opened_by, now,
            )  # fmt: skip

    async def market(self, market_id: MarketId) -> Market:
        """As it is now; it may change at any moment. Raises MarketNotFound."""
        row = await self._conn.fetchrow(f"SELECT {MARKET_COLUMNS} FROM market m WHERE m.id = $1", market_id)
        if row is None:
            raise MarketNotFound("no such market")
        return market_of(row)

    async def market_for_update(self, market_id: MarketId) -> Market:
        """Locked: nothing else happens in the market before this transaction ends. Raises MarketNotFound."""
        row = await self._conn.fetchrow(
            f"SELECT {MARKET_COLUMNS} FROM market m WHERE m.id = $1 FOR NO KEY UPDATE", market_id
        )
        if row is None:
            raise MarketNotFound("no such market")
        return market_of(row)

    async def free_for_update(self, ids: Sequence[MarketId]) -> list[Market]:
        """Those that nobody else has locked, locked in the order of their ids. Waits for nobody."""
        rows = await self._conn.fetch(
            f"""
            SELECT {MARKET_COLUMNS} FROM market m WHERE m.id = ANY ($1) ORDER BY m.id
            FOR NO KEY UPDATE SKIP LOCKED
            """,
            ids,
        )
        return [market_of(row) for row in rows]

    async def markets_of_race_for_update(self, race_id: RaceId) -> list[Market]:
        """All of them, locked in the order of their ids."""
        rows = await self._conn.fetch(
            f"SELECT {MARKET_COLUMNS} FROM market m WHERE m.race_id = $1 ORDER BY m.id FOR NO KEY UPDATE",
            race_id,
        )
        return [market_of(row) for row in rows]

    async def markets_for_update(self, ids: Sequence[MarketId]) -> list[Market]:
        """Locked in the order of their ids."""
        rows = await self._conn.fetch(
            f"SELECT {MARKET_COLUMNS} FROM market m WHERE m.id = ANY ($1) ORDER BY m.id FOR NO KEY UPDATE",
            ids,
        )
        return [market_of(row) for row in rows]

    # -- offers

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

    async def market_of_challenge(self, offer_id: OfferId, challenged: UserId) -> MarketId | None:
        market_id: MarketId | None = await self._conn.fetchval(
            "SELECT market_id FROM offer WHERE id = $1 AND challenges = $2", offer_id, challenged
        )
        return market_id

    async def markets_with_offers_of(self, owner: UserId) -> list[MarketId]:
        """Markets in which the bettor has anything resting or on its way there."""
        rows = await self._conn.fetch(
            """
            SELECT DISTINCT market_id FROM offer
            WHERE user_id = $1 AND status IN ('PENDING', 'OPEN', 'PARTIAL') ORDER BY market_id
            """,
            owner,
        )
        return [MarketId(row["market_id"]) for row in rows]

    async def waiting(self, ids: Sequence[OfferId]) -> dict[OfferId, Waiting]:
        """Offers by id, as they are now, with what decides about them besides the book."""
        rows = await self._conn.fetch(
            f"""
            SELECT {OFFER_COLUMNS}, o.idempotency_key, m.currency,
                   EXISTS (SELECT FROM suspension s WHERE s.scope = 'USER' AND s.subject = o.user_id
                              AND s.lifted_at IS NULL)
                   OR EXISTS (SELECT FROM exclusion x WHERE x.user_id = o.user_id AND x.until > now()) AS suspended,
                   {_FORBIDDEN} AS forbidden
              FROM offer o JOIN market m ON m.id = o.market_id WHERE o.id = ANY ($1)
            """,
            ids,
        )
        return {
            OfferId(row["id"]): Waiting(
                offer_of(row, row["currency"]), row["idempotency_key"], row["suspended"], row["forbidden"]
            )
            for row in rows
        }

    async def resting(self, markets: Sequence[Market]) -> dict[MarketId, list[Offer]]:
        """Every offer resting in each of the markets, the earliest first."""
        rows = await self._conn.fetch(
            f"""
            SELECT {OFFER_COLUMNS} FROM offer o
            WHERE o.market_id = ANY ($1) AND o.side IN ('A', 'B') AND o.status IN ('OPEN', 'PARTIAL')
            ORDER BY o.sequence
            """,
            [market.id for market in markets],
        )
        currencies = {market.id: market.terms.currency for market in markets}
        found: dict[MarketId, list[Offer]] = {market.id: [] for market in markets}
        for row in rows:
            market_id = MarketId(row["market_id"])
            found[market_id].append(offer_of(row, currencies[market_id]))
        return found

    async def forbidden(self, markets: Sequence[Market]) -> set[OfferId]:
        """What rests in these markets and its bettor could not offer now: they are of another owner group, of a stable with
        another horse in the race, or officials of the event."""
        rows = await self._conn.fetch(
            f"""
            SELECT o.id FROM offer o JOIN market m ON m.id = o.market_id
            WHERE o.market_id = ANY ($1) AND o.status IN ('OPEN', 'PARTIAL') AND ({_FORBIDDEN})
            """,
            [market.id for market in markets],
        )
        return {OfferId(row["id"]) for row in rows}

    async def markets_with_forbidden(self, limit: int) -> list[MarketId]:
        """Markets in which something rests that its bettor could not offer now."""
        rows = await self._conn.fetch(
            f"""
            SELECT DISTINCT o.market_id
              FROM (SELECT user_id FROM stable_member
                    UNION SELECT official_id FROM appointment p JOIN event e ON e.id = p.event_id
                     WHERE e.status IN ('PUBLISHED', 'LIVE')) u
             CROSS JOIN LATERAL (SELECT * FROM offer WHERE user_id = u.user_id
                                    AND status IN ('OPEN', 'PARTIAL') OFFSET 0) o
              JOIN market m ON m.id = o.market_id
             WHERE {_FORBIDDEN} LIMIT $1
            """,
            limit,
        )
        return [MarketId(row["market_id"]) for row in rows]

    async def pending(self, ids: Sequence[OfferId]) -> dict[OfferId, tuple[Offer, str]]:
        """Offers still to be finished, locked, each with the key it was placed under; what somebody finished is not there."""
        rows = await self._conn.fetch(
            f"""
            SELECT {OFFER_COLUMNS}, o.idempotency_key, m.currency FROM offer o JOIN market m ON m.id = o.market_id
            WHERE o.id = ANY ($1) AND o.status = 'PENDING' ORDER BY o.id FOR NO KEY UPDATE OF o
            """,
            ids,
        )
        return {OfferId(row["id"]): (offer_of(row, row["currency"]), row["idempotency_key"]) for row in rows}

    async def reject(self, offers: Sequence[Offer], *, now: datetime) -> None:
        """Write that pending offers never took part: their markets are not concerned, and not locked."""
        await self._conn.execute(
            """
            UPDATE offer o SET status = 'REJECTED', remaining = 0, released = stake, ending = n.ending, ended_at = $3,
                   moved_by = NULL, moved_why = 'the hold was refused'
              FROM unnest($1::uuid[], $2::text[]) AS n (id, ending)
             WHERE o.id = n.id
            """,
            [offer.id for offer in offers],
            [offer.ending for offer in offers],
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

    async def markets_with_expired(self, now: datetime, limit: int) -> list[MarketId]:
        """Markets in which an offer's own time is over."""
        rows = await self._conn.fetch(
            """
            SELECT DISTINCT market_id FROM offer
            WHERE status IN ('OPEN', 'PARTIAL') AND expires_at IS NOT NULL AND expires_at <= $1 LIMIT $2
            """,
            now,
            limit,
        )
        return [MarketId(row["market_id"]) for row in rows]

    # -- everything that happened in a market

    async def save(
        self,
        changes: Sequence[Change],
        *,
        now: datetime,
        actor: UserId | None,
        why: str,
        closed_at: datetime | None = None,
    ) -> None:
        """Write how locked markets stand now, each once.

        `actor` and `why` are of the markets' own moves, if they moved. One statement: every round trip is waited for
        by all who want one of the markets.
        """
        markets = [change.market for change in changes]
        stands = [(moved, change.market) for change in changes for moved in change.offers]
        bets = [(fill, sequence, change.market) for change in changes for fill, sequence in change.fills]
        levels = [(level, change.market) for change in changes for level in change.levels]

        def money(amounts: Iterable[tuple[Minor, Market]]) -> list[str]:
            return [text(amount, market.terms.currency) for amount, market in amounts]

        await self._conn.execute(
            _SAVE,
            now,
            closed_at,
            actor,
            why,
            [market.id for market in markets],
            [market.status for market in markets],
            [market.version for market in markets],
            [market.sequence for market in markets],
            money((market.escrow, market) for market in markets),
            [market.defect for market in markets],
            [market.void_reason for market in markets],
            [market.settlement for market in markets],
            [market.settled_result for market in markets],
            [market.suspension for market in markets],
            [moved.offer.id for moved, _ in stands],
            [moved.offer.status for moved, _ in stands],
            [moved.offer.sequence for moved, _ in stands],
            money((moved.offer.matched, market) for moved, market in stands),
            money((moved.offer.remaining, market) for moved, market in stands),
            money((moved.offer.released, market) for moved, market in stands),
            [moved.offer.ending for moved, _ in stands],
            [moved.actor for moved, _ in stands],
            [moved.why for moved, _ in stands],
            [market.id for _, market in levels],
            [market.sequence for _, market in levels],
            [level.side for level, _ in levels],
            [level.ratio.rank for level, _ in levels],
            money((level.amount, market) for level, market in levels),
            [market.id for _, _, market in bets],
            [bet.id for bet, _, _ in bets],
            [sequence for _, sequence, _ in bets],
            [bet.maker.id for bet, _, _ in bets],
            [bet.maker.user_id for bet, _, _ in bets],
            [bet.maker.side for bet, _, _ in bets],
            money((bet.maker_stake, market) for bet, _, market in bets),
            [bet.maker.ratio.risk for bet, _, _ in bets],
            [bet.maker.ratio.win for bet, _, _ in bets],
            [bet.taker.id for bet, _, _ in bets],
            [bet.taker.user_id for bet, _, _ in bets],
            [bet.taker.side for bet, _, _ in bets],
            money((bet.taker_stake, market) for bet, _, market in bets),
            [bet.taker.ratio.risk for bet, _, _ in bets],
            [bet.taker.ratio.win for bet, _, _ in bets],
            [bet.lots for bet, _, _ in bets],
            money((bet.pot, market) for bet, _, market in bets),
        )


# Whether an offer o in a market m is one that its bettor could not make now. OFFSET 0: looked up offer by offer, whatever
# the planner thinks of reading every appointment at once.
_FORBIDDEN = """
    EXISTS (SELECT FROM stable_member s WHERE s.user_id = o.user_id AND (o.owner <> s.stable_id OR EXISTS (
                SELECT FROM runner h WHERE h.race_id = m.race_id AND h.stable_id = s.stable_id
                   AND h.id <> CASE o.side WHEN 'A' THEN m.runner_a ELSE m.runner_b END OFFSET 0)) OFFSET 0)
    OR EXISTS (SELECT FROM race r JOIN appointment p ON p.event_id = r.event_id
                WHERE r.id = m.race_id AND p.official_id = o.user_id OFFSET 0)
"""

_SAVE = """
    WITH moved AS (
        UPDATE market m
           SET status = n.status, version = n.version, sequence = n.sequence, escrow = n.escrow, defect = n.defect,
               closed_at = coalesce(m.closed_at, $2::timestamptz), void_reason = n.void_reason,
               settlement = n.settlement, settled_result = n.settled_result, suspension = n.suspension,
               moved_by = CASE WHEN m.version = n.version THEN m.moved_by ELSE $3::uuid END,
               moved_why = CASE WHEN m.version = n.version THEN m.moved_why ELSE $4::text END
          FROM unnest($5::uuid[], $6::text[], $7::integer[], $8::bigint[], $9::text[]::numeric[], $10::text[],
                      $11::text[], $12::integer[], $13::smallint[], $14::uuid[])
               AS n (id, status, version, sequence, escrow, defect, void_reason, settlement, settled_result, suspension)
         WHERE m.id = n.id),
    changed AS (
        UPDATE offer o
           SET status = n.status, sequence = n.sequence, matched = n.matched, remaining = n.remaining,
               released = n.released, ending = n.ending, moved_by = n.actor, moved_why = n.why,
               ended_at = CASE WHEN n.remaining = 0 THEN $1::timestamptz END
          FROM unnest($15::uuid[], $16::text[], $17::bigint[], $18::text[]::numeric[], $19::text[]::numeric[],
                      $20::text[]::numeric[], $21::text[], $22::uuid[], $23::text[])
               AS n (id, status, sequence, matched, remaining, released, ending, actor, why)
         WHERE o.id = n.id),
    seen AS (
        INSERT INTO level_change (at, market_id, sequence, side, rank, amount)
        SELECT $1, * FROM unnest($24::uuid[], $25::bigint[], $26::text[], $27::smallint[], $28::text[]::numeric[]))
    INSERT INTO fill (matched_at, market_id, id, sequence, maker_offer, maker_user, maker_side, maker_stake, risk, win,
        taker_offer, taker_user, taker_side, taker_stake, taker_risk, taker_win, lots, pot)
    SELECT $1, * FROM unnest(
        $29::uuid[], $30::uuid[], $31::bigint[], $32::uuid[], $33::uuid[], $34::text[], $35::text[]::numeric[],
        $36::smallint[], $37::smallint[], $38::uuid[], $39::uuid[], $40::text[], $41::text[]::numeric[],
        $42::smallint[], $43::smallint[], $44::bigint[], $45::text[]::numeric[])
"""
