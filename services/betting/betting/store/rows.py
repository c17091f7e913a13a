"""Rows to domain and back."""

from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from common.money import Money

from betting.domain.events import Event, EventStatus
from betting.domain.ids import EventId, MarketId, Minor, OfferId, RaceId, RunnerId, SuspensionId, UserId
from betting.domain.margins import Margin
from betting.domain.markets import CloseRule, Market, MarketKind, MarketStatus, Terms, TieRule
from betting.domain.offers import Ending, Offer, OfferStatus, Options, Side, Slip
from betting.domain.ratios import Ratio

if TYPE_CHECKING:
    Row: TypeAlias = asyncpg.Record
else:
    Row = asyncpg.Record


def minor(amount: Decimal, currency: str) -> Minor:
    return Money(amount, currency).minor


def minor_or_none(amount: Decimal | None, currency: str) -> Minor | None:
    return None if amount is None else minor(amount, currency)


def text(amount: Minor, currency: str) -> str:
    """As a literal that the server parses: cheaper than the driver's encoding of a Decimal."""
    return str(Money.from_minor(amount, currency))


def numeric(amount: Minor, currency: str) -> Decimal:
    return Money.from_minor(amount, currency).amount


EVENT_COLUMNS = "id, name, venue, state, permit, starts_at, day, day_ends_at, objection_seconds, status"


def event_of(row: Row) -> Event:
    return Event(
        id=EventId(row["id"]),
        name=row["name"],
        venue=row["venue"],
        state=row["state"],
        permit=row["permit"],
        starts_at=row["starts_at"],
        day=row["day"],
        day_ends_at=row["day_ends_at"],
        objection_seconds=row["objection_seconds"],
        status=EventStatus(row["status"]),
    )


MARKET_COLUMNS = (
    "m.id, m.race_id, m.kind, m.runner_a, m.runner_b, m.giver, m.line, m.currency, m.commission_bps, m.tie_rule, "
    "m.min_stake, m.max_stake, m.max_exposure, m.close_rule, m.closes_at, m.objection_seconds, m.permit, "
    "m.status, m.version, m.sequence, m.escrow, m.defect, m.void_reason, m.settlement, m.settled_result, "
    "m.suspension, m.stopped_from"
)


def market_of(row: Row) -> Market:
    currency = row["currency"]
    terms = Terms(
        race_id=RaceId(row["race_id"]),
        kind=MarketKind(row["kind"]),
        runner_a=RunnerId(row["runner_a"]),
        runner_b=RunnerId(row["runner_b"]),
        giver=None if row["giver"] is None else Side(row["giver"]),
        line=None if row["line"] is None else Margin(row["line"]),
        currency=currency,
        commission_bps=row["commission_bps"],
        tie_rule=TieRule(row["tie_rule"]),
        min_stake=minor(row["min_stake"], currency),
        max_stake=minor(row["max_stake"], currency),
        max_exposure=minor(row["max_exposure"], currency),
        close_rule=CloseRule(row["close_rule"]),
        closes_at=row["closes_at"],
        objection_seconds=row["objection_seconds"],
        permit=row["permit"],
    )
    return Market(
        id=MarketId(row["id"]),
        terms=terms,
        status=MarketStatus(row["status"]),
        version=row["version"],
        sequence=row["sequence"],
        escrow=minor(row["escrow"], currency),
        defect=row["defect"],
        void_reason=row["void_reason"],
        settlement=row["settlement"],
        settled_result=row["settled_result"],
        suspension=None if row["suspension"] is None else SuspensionId(row["suspension"]),
        stopped_from=None if row["stopped_from"] is None else MarketStatus(row["stopped_from"]),
    )


OFFER_COLUMNS = (
    "o.id, o.market_id, o.market_version, o.user_id, o.owner, o.side, o.risk, o.win, o.stake, o.matched, o.remaining, "
    "o.released, o.status, o.placed_at, o.sequence, o.ending, o.fill_or_kill, o.min_fill, o.expires_at, o.challenges, "
    "o.answers"
)


def offer_of(row: Row, currency: str) -> Offer:
    slip = Slip(
        id=OfferId(row["id"]),
        market_id=MarketId(row["market_id"]),
        market_version=row["market_version"],
        user_id=UserId(row["user_id"]),
        owner=row["owner"],
        side=Side(row["side"]),
        ratio=Ratio(row["risk"], row["win"]),
        stake=minor(row["stake"], currency),
        placed_at=row["placed_at"],
        options=Options(
            fill_or_kill=row["fill_or_kill"],
            min_fill=minor_or_none(row["min_fill"], currency),
            expires_at=row["expires_at"],
            challenges=None if row["challenges"] is None else UserId(row["challenges"]),
            answers=None if row["answers"] is None else OfferId(row["answers"]),
        ),
    )
    return Offer(
        slip=slip,
        matched=minor(row["matched"], currency),
        remaining=minor(row["remaining"], currency),
        released=minor(row["released"], currency),
        status=OfferStatus(row["status"]),
        sequence=row["sequence"],
        ending=None if row["ending"] is None else Ending(row["ending"]),
    )
