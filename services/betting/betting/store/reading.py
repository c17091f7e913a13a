"""What is read and never locked: the programme, the book, and a bettor's own offers and bets."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.pg import Connection

from betting.domain.book import Level
from betting.domain.errors import EventNotFound, OfferNotFound
from betting.domain.events import Event
from betting.domain.ids import EventId, FillId, MarketId, Minor, OfferId, RaceId, UserId
from betting.domain.markets import Market, MarketStatus
from betting.domain.offers import Offer, Side
from betting.domain.races import Race
from betting.domain.ratios import Ratio
from betting.domain.settlement import Outcome
from betting.store.programme import RACE_COLUMNS, race_of
from betting.store.results import Result, result_of
from betting.store.rows import (
    EVENT_COLUMNS,
    MARKET_COLUMNS,
    OFFER_COLUMNS,
    Row,
    event_of,
    market_of,
    minor,
    offer_of,
)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of a list ordered by time ended."""

    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class RaceCard:
    """A race with its markets, and with its result once two officials agree on it."""

    race: Race
    markets: tuple[Market, ...] = ()
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class OwnFill:
    """A bet from the point of view of one of its bettors, at the ratio it was made at."""

    id: FillId
    offer_id: OfferId
    ratio: Ratio
    stake: Minor
    pot: Minor
    matched_at: datetime


@dataclass(frozen=True, slots=True)
class OwnOffer:
    """An offer with its bets, for its owner."""

    offer: Offer
    market: Market
    fills: tuple[OwnFill, ...]


@dataclass(frozen=True, slots=True)
class Bet:
    """A bet of one bettor and, once its market is settled, how it came out."""

    fill: OwnFill
    market: Market
    side: Side
    outcome: Outcome | None


class ReadingStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def events(self, *, drafts: bool, after: Position | None, limit: int) -> list[Event]:
        """By their start, the next ones last."""
        rows = await self._conn.fetch(
            f"""
            SELECT {EVENT_COLUMNS} FROM event
            WHERE ($1 OR status <> 'DRAFT') AND ($2::timestamptz IS NULL OR (starts_at, id) < ($2, $3::uuid))
            ORDER BY starts_at DESC, id DESC LIMIT $4
            """,
            drafts,
            None if after is None else after.at,
            None if after is None else after.id,
            limit,
        )
        return [event_of(row) for row in rows]

    async def event(self, event_id: EventId, *, drafts: bool) -> Event:
        """Raises EventNotFound, for a draft unless `drafts`."""
        row = await self._conn.fetchrow(
            f"SELECT {EVENT_COLUMNS} FROM event WHERE id = $1 AND ($2 OR status <> 'DRAFT')", event_id, drafts
        )
        if row is None:
            raise EventNotFound("no such event")
        return event_of(row)

    async def card(self, event_id: EventId) -> list[RaceCard]:
        """The event's races by number."""
        races = await self._conn.fetch(
            f"SELECT {RACE_COLUMNS} FROM race r WHERE r.event_id = $1 ORDER BY r.number", event_id
        )
        ids = [row["id"] for row in races]
        return await self._with_markets([race_of(row) for row in races], ids)

    async def race_card(self, race_id: RaceId, *, drafts: bool) -> RaceCard | None:
        """One race; None if it is not there, or its event is a draft and `drafts` is false."""
        row = await self._conn.fetchrow(
            f"""
            SELECT {RACE_COLUMNS} FROM race r JOIN event e ON e.id = r.event_id
            WHERE r.id = $1 AND ($2 OR e.status <> 'DRAFT')
            """,
            race_id,
            drafts,
        )
        if row is None:
            return None
        return (await self._with_markets([race_of(row)], [row["id"]]))[0]

    async def _with_markets(self, races: Sequence[Race], ids: Sequence[UUID]) -> list[RaceCard]:
        found = await self._conn.fetch(
            f"SELECT {MARKET_COLUMNS} FROM market m WHERE m.race_id = ANY ($1) ORDER BY m.opened_at, m.id",
            ids,
        )
        results = await self._conn.fetch(
            """
            SELECT d.* FROM result d JOIN race r ON r.id = d.race_id AND r.result_version = d.version
            WHERE d.race_id = ANY ($1)
            """,
            ids,
        )
        markets: dict[RaceId, list[Market]] = defaultdict(list)
        for row in found:
            markets[RaceId(row["race_id"])].append(market_of(row))
        result = {RaceId(row["race_id"]): result_of(row) for row in results}
        return [RaceCard(race, tuple(markets[race.id]), result.get(race.id)) for race in races]

    async def book(self, market_id: MarketId, currency: str) -> list[Level]:
        """Best price for a taker first, per side. Nobody's name."""
        rows = await self._conn.fetch(
            """
            SELECT side, risk, win, sum(remaining) AS amount FROM offer
            WHERE market_id = $1 AND side IN ('A', 'B') AND status IN ('OPEN', 'PARTIAL') AND challenges IS NULL
            GROUP BY side, rank, risk, win ORDER BY side, rank DESC
            """,
            market_id,
        )
        return [
            Level(Side(row["side"]), Ratio(row["risk"], row["win"]), minor(row["amount"], currency))
            for row in rows
        ]

    async def own_offer(self, offer_id: OfferId, owner: UserId) -> OwnOffer:
        """Raises OfferNotFound, also for another bettor's offer."""
        rows = await self._conn.fetch(
            f"SELECT {OFFER_COLUMNS} FROM offer o WHERE o.id = $1 AND o.user_id = $2", offer_id, owner
        )
        if not rows:
            raise OfferNotFound("no such offer")
        return (await self._with_fills(rows))[0]

    async def own_offers(
        self,
        owner: UserId,
        *,
        market_id: MarketId | None,
        open_only: bool,
        after: Position | None,
        limit: int,
    ) -> list[OwnOffer]:
        """The newest first; `open_only`: those that have not ended."""
        rows = await self._conn.fetch(
            f"""
            SELECT {OFFER_COLUMNS} FROM offer o
            WHERE o.user_id = $1 AND ($2::uuid IS NULL OR o.market_id = $2)
              AND (NOT $6 OR o.status IN ('PENDING', 'OPEN', 'PARTIAL'))
              AND ($3::timestamptz IS NULL OR (o.placed_at, o.id) < ($3, $4::uuid))
            ORDER BY o.placed_at DESC, o.id DESC LIMIT $5
            """,
            owner, market_id, None if after is None else after.at, None if after is None else after.id, limit,
            open_only,
        )  # fmt: skip
        return await self._with_fills(rows)

    async def challenges(self, challenged: UserId) -> list[tuple[Offer, Market]]:
        """Open offers that only this person may take, the newest first."""
        rows = await self._conn.fetch(
            f"""
            SELECT {OFFER_COLUMNS} FROM offer o
            WHERE o.challenges = $1 AND o.status IN ('OPEN', 'PARTIAL') ORDER BY o.placed_at DESC LIMIT 100
            """,
            challenged,
        )
        markets = await self._markets([row["market_id"] for row in rows])
        return [
            (offer_of(row, market.terms.currency), market)
            for row in rows
            for market in (markets[row["market_id"]],)
        ]

    async def own_bets(self, owner: UserId, *, after: Position | None, limit: int) -> list[Bet]:
        """The newest first."""
        part = """
            SELECT id, market_id, {mine}_offer AS offer_id, {mine}_side AS side, {risk} AS risk, {win} AS win,
                   {mine}_stake AS stake, pot, matched_at
              FROM fill WHERE {mine}_user = $1 AND ($2::timestamptz IS NULL OR (matched_at, id) < ($2, $3::uuid))
             ORDER BY matched_at DESC, id DESC LIMIT $4
        """
        rows = await self._conn.fetch(
            f"""
            SELECT bet.*, s.outcome, coalesce(bet.matched_at > s.late_after, false) AS late
              FROM (({part.format(mine="maker", risk="risk", win="win")})
                    UNION ALL ({part.format(mine="taker", risk="win", win="risk")})) bet
              JOIN market m ON m.id = bet.market_id
              LEFT JOIN settlement s ON s.market_id = bet.market_id AND s.version = m.settlement
                                    AND s.booked_at IS NOT NULL
             ORDER BY matched_at DESC, id DESC LIMIT $4
            """,
            owner,
            None if after is None else after.at,
            None if after is None else after.id,
            limit,
        )
        markets = await self._markets([row["market_id"] for row in rows])
        return [_bet_of(row, markets[row["market_id"]]) for row in rows]

    async def _with_fills(self, rows: Sequence[Row]) -> list[OwnOffer]:
        """The offers with their bets, read at once for all of them."""
        markets = await self._markets([row["market_id"] for row in rows])
        currencies = {row["id"]: markets[row["market_id"]].terms.currency for row in rows}
        fills: dict[UUID, list[OwnFill]] = defaultdict(list)
        found = await self._conn.fetch(
            """
            SELECT id, maker_offer AS offer_id, risk, win, maker_stake AS stake, pot, matched_at, sequence
              FROM fill WHERE maker_offer = ANY ($1)
            UNION ALL
            SELECT id, taker_offer, win, risk, taker_stake, pot, matched_at, sequence FROM fill WHERE taker_offer = ANY ($1)
            ORDER BY sequence
            """,
            list(currencies),
        )
        for row in found:
            fills[row["offer_id"]].append(_fill_of(row, currencies[row["offer_id"]]))
        return [
            OwnOffer(
                offer=offer_of(row, currencies[row["id"]]),
                market=markets[row["market_id"]],
                fills=tuple(fills[row["id"]]),
            )
            for row in rows
        ]

    async def _markets(self, ids: Sequence[UUID]) -> Mapping[UUID, Market]:
        rows = await self._conn.fetch(
            f"SELECT {MARKET_COLUMNS} FROM market m WHERE m.id = ANY ($1)", list(set(ids))
        )
        return {row["id"]: market_of(row) for row in rows}


def _fill_of(row: Row, currency: str) -> OwnFill:
    return OwnFill(
        id=FillId(row["id"]),
        offer_id=OfferId(row["offer_id"]),
        ratio=Ratio(row["risk"], row["win"]),
        stake=minor(row["stake"], currency),
        pot=minor(row["pot"], currency),
        matched_at=row["matched_at"],
    )


def _bet_of(row: Row, market: Market) -> Bet:
    settled = market.status in {MarketStatus.SETTLED, MarketStatus.VOID} and row["outcome"] is not None
    return Bet(
        fill=_fill_of(row, market.terms.currency),
        market=market,
        side=Side(row["side"]),
        outcome=(Outcome.VOID if row["late"] else Outcome(row["outcome"])) if settled else None,
    )
