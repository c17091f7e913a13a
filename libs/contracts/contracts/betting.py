"""Betting's events: race days, results, markets and offers.

All events of a market and its offers share the market as partition key, so a consumer that keeps
order per key sees the book exactly as it happened.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from contracts.wire import Amount, Currency, Event, Moment, Ordinal, PositiveAmount, Sha256, Text, Wire

BasisPoints = Annotated[int, Field(strict=True, ge=0, le=10_000)]
"""Hundredths of a percent."""


class TieRule(StrEnum):
    """What a dead heat does to the bets: PUSH returns every stake without commission."""

    PUSH = "PUSH"


class Runner(Wire):
    """One horse of a race."""

    runner_id: UUID
    name: Text


class Ratio(Wire):
    """Risk `risk` to win `win`, reduced: "100 a 80" is 5:4."""

    risk: Ordinal
    win: Ordinal


class EventPublished(Event):
    """A race day is announced, with its permit."""

    type: ClassVar[str] = "betting.event.published.v1"

    event_id: UUID
    name: Text
    venue: Text
    permit: Text
    starts_at: Moment


class RaceScheduled(Event):
    """A match race is on the card."""

    type: ClassVar[str] = "betting.race.scheduled.v1"

    race_id: UUID
    event_id: UUID
    number: Ordinal
    distance_m: Ordinal
    runners: tuple[Runner, ...]
    starts_at: Moment


class RaceDeclared(Event):
    """One official entered a result. It is not said which: the second official must not see it."""

    type: ClassVar[str] = "betting.race.declared.v1"

    race_id: UUID
    official_id: UUID
    declared_at: Moment


class RaceConfirmed(Event):
    """Two officials agree. `winner` is null for a dead heat."""

    type: ClassVar[str] = "betting.race.confirmed.v1"

    race_id: UUID
    winner: UUID | None = None
    margin: Text | None = None
    off_time: Moment
    photo_sha256: Sha256
    officials: tuple[UUID, UUID]
    confirmed_at: Moment


class RaceDisputed(Event):
    """Two officials disagree; nothing settles until a ruling."""

    type: ClassVar[str] = "betting.race.disputed.v1"

    race_id: UUID
    officials: tuple[UUID, UUID]
    disputed_at: Moment


class RaceScratched(Event):
    """The race will not be run; its market is void."""

    type: ClassVar[str] = "betting.race.scratched.v1"

    race_id: UUID
    reason: Text
    scratched_by: UUID
    scratched_at: Moment


class MarketOpened(Event):
    """Offers may be placed. Commission and tie rule are fixed from here on."""

    type: ClassVar[str] = "betting.market.opened.v1"

    market_id: UUID
    race_id: UUID
    event_id: UUID
    currency: Currency
    commission_bps: BasisPoints
    tie_rule: TieRule
    opened_at: Moment


class MarketSuspended(Event):
    """No placing or matching for now."""

    type: ClassVar[str] = "betting.market.suspended.v1"

    market_id: UUID
    reason: Text
    suspended_at: Moment


class MarketClosed(Event):
    """The gate: closed for ever. `matched_total` is what the escrow must hold before settlement."""

    type: ClassVar[str] = "betting.market.closed.v1"

    market_id: UUID
    matched_total: Amount
    currency: Currency
    closed_at: Moment


class MarketSettled(Event):
    """The ledger paid the whole escrow out. `winner` is null for a dead heat."""

    type: ClassVar[str] = "betting.market.settled.v1"

    market_id: UUID
    settlement_version: Ordinal
    winner: UUID | None = None
    total: Amount
    commission: Amount
    currency: Currency
    settled_at: Moment


class MarketVoided(Event):
    """Every matched stake went back to whoever placed it, without commission."""

    type: ClassVar[str] = "betting.market.voided.v1"

    market_id: UUID
    reason: Text
    total: Amount
    currency: Currency
    voided_at: Moment


class OfferPlaced(Event):
    """The stake is held and the offer takes part in matching."""

    type: ClassVar[str] = "betting.offer.placed.v1"

    offer_id: UUID
    market_id: UUID
    bettor_id: UUID
    runner_id: UUID
    ratio: Ratio
    stake: PositiveAmount
    currency: Currency
    placed_at: Moment


class Fill(Wire):
    """One side of a match: what it risked in it and what is left of its offer."""

    offer_id: UUID
    bettor_id: UUID
    runner_id: UUID
    risked: PositiveAmount
    remaining: Amount


class OfferMatched(Event):
    """Two opposite offers met at the maker's ratio; pot = maker's risk + taker's risk."""

    type: ClassVar[str] = "betting.offer.matched.v1"

    fill_id: UUID
    market_id: UUID
    ratio: Ratio
    maker: Fill
    taker: Fill
    pot: PositiveAmount
    currency: Currency
    matched_at: Moment


class OfferCancelled(Event):
    """The bettor took back what was not matched; `released` returns to available."""

    type: ClassVar[str] = "betting.offer.cancelled.v1"

    offer_id: UUID
    market_id: UUID
    bettor_id: UUID
    released: Amount
    currency: Currency
    cancelled_at: Moment


class OfferLapsed(Event):
    """What was not matched ended without the bettor asking: the gate, dust, a void or a self-match."""

    type: ClassVar[str] = "betting.offer.lapsed.v1"

    offer_id: UUID
    market_id: UUID
    bettor_id: UUID
    released: Amount
    currency: Currency
    reason: Text
    lapsed_at: Moment


class OfferRejected(Event):
    """The stake could not be held, so the offer never took part."""

    type: ClassVar[str] = "betting.offer.rejected.v1"

    offer_id: UUID
    market_id: UUID
    bettor_id: UUID
    reason: Text
    rejected_at: Moment
