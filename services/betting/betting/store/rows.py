"""Rows to domain and back."""

from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from common.money import Money

from betting.domain.ids import EventId, MarketId, Minor, OfferId, RaceId, RunnerId, UserId
from betting.domain.markets import Market, MarketKind, MarketStatus, Terms, TieRule
from betting.domain.offers import Ending, Offer, OfferStatus, Side
from betting.domain.races import Event, EventStatus
from betting.domain.ratios import Ratio

if TYPE_CHECKING:
    Row: TypeAlias = asyncpg.Record
else:
    Row = asyncpg.Record


def minor(amount: Decimal, currency: str) -> Minor:
    return Money(amount, currency).minor


def numeric(amount: Minor, currency: str) -> Decimal:
    return Money.from_minor(amount, currency).amount


EVENT_COLUMNS = "id, name, venue, permit, starts_at, status"


def event_of(row: Row) -> Event:
    return Event(
        id=EventId(row["id"]),
        name=row["name"],
        venue=row["venue"],
        permit=row["permit"],
        starts_at=row["starts_at"],
        status=EventStatus(row["status"]),
    )


MARKET_COLUMNS = (
    "id, race_id, kind, runner_a, runner_b, currency, commission_bps, tie_rule, min_stake, max_stake, "
    "status, version, sequence, escrow, defect"
)


def market_of(row: Row) -> Market:
    currency = row["currency"]
    terms = Terms(
        race_id=RaceId(row["race_id"]),
        kind=MarketKind(row["kind"]),
        runner_a=RunnerId(row["runner_a"]),
        runner_b=RunnerId(row["runner_b"]),
        currency=currency,
        commission_bps=row["commission_bps"],
        tie_rule=TieRule(row["tie_rule"]),
        min_stake=minor(row["min_stake"], currency),
        max_stake=minor(row["max_stake"], currency),
    )
    return Market(
        id=MarketId(row["id"]),
        terms=terms,
        status=MarketStatus(row["status"]),
        version=row["version"],
        sequence=row["sequence"],
        escrow=minor(row["escrow"], currency),
        defect=row["defect"],
    )


OFFER_COLUMNS = (
    "o.id, o.market_id, o.market_version, o.user_id, o.side, o.risk, o.win, o.stake, o.matched, o.remaining, "
    "o.released, o.status, o.placed_at, o.sequence, o.ending"
)


def offer_of(row: Row, currency: str) -> Offer:
    return Offer(
        id=OfferId(row["id"]),
        market_id=MarketId(row["market_id"]),
        market_version=row["market_version"],
        user_id=UserId(row["user_id"]),
        side=Side(row["side"]),
        ratio=Ratio(row["risk"], row["win"]),
        stake=minor(row["stake"], currency),
        matched=minor(row["matched"], currency),
        remaining=minor(row["remaining"], currency),
        released=minor(row["released"], currency),
        status=OfferStatus(row["status"]),
        placed_at=row["placed_at"],
        sequence=row["sequence"],
        ending=None if row["ending"] is None else Ending(row["ending"]),
    )
