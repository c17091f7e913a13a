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
    """What a dead heat does to the bets: PUSH returns every stake without commission, SPLIT_POT halves each pot."""

    PUSH = "PUSH"
    SPLIT_POT = "SPLIT_POT"


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


class EventMoved(Event):
    """A race day went live, closed or was cancelled."""

    type: ClassVar[str] = "betting.event.moved.v1"

    event_id: UUID
    status: Text
    reason: Text
    moved_at: Moment


class RaceScheduled(Event):
    """A match race is on the card."""

    type: ClassVar[str] = "betting.race.scheduled.v1"

    race_id: UUID
    event_id: UUID
    number: Ordinal
    distance_m: Ordinal
    runners: tuple[Runner, ...]
    starts_at: Moment


class RaceMoved(Event):
    """A race came to the gate, went off, finished, was put off or does not count. Results have their own events."""

    type: ClassVar[str] = "betting.race.moved.v1"

    race_id: UUID
    status: Text
    reason: Text
    starts_at: Moment
    moved_at: Moment


class RunnerScratched(Event):
    """One of several runners does not start; the markets about it are void, the race is run."""

    type: ClassVar[str] = "betting.runner.scratched.v1"

    race_id: UUID
    runner_id: UUID
    reason: Text
    scratched_at: Moment


class RaceDeclared(Event):
    """One official entered a result. It is not said which: the second official must not see it."""

    type: ClassVar[str] = "betting.race.declared.v1"

    race_id: UUID
    official_id: UUID
    declared_at: Moment


class RaceConfirmed(Event):
    """Two officials agree. `winner` is null for a dead heat. Objections are heard until `objection_until`."""

    type: ClassVar[str] = "betting.race.confirmed.v1"

    race_id: UUID
    winner: UUID | None = None
    margin: Text | None = None
    off_time: Moment
    photo_sha256: Sha256
    officials: tuple[UUID, UUID]
    confirmed_at: Moment
    objection_until: Moment


class RaceDisputed(Event):
    """Two officials disagree, or somebody objected; nothing settles until a third official has ruled."""

    type: ClassVar[str] = "betting.race.disputed.v1"

    race_id: UUID
    officials: tuple[UUID, UUID]
    reason: Text
    disputed_at: Moment


class RaceFinal(Event):
    """The result counts: its markets are settled on it. A later `result_version` corrects an official error."""

    type: ClassVar[str] = "betting.race.final.v1"

    race_id: UUID
    result_version: Ordinal
    winner: UUID | None = None
    margin: Text | None = None
    off_time: Moment
    places: tuple[tuple[UUID, ...], ...]
    reason: Text
    final_at: Moment


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


class MarketResumed(Event):
    """Offers may be placed again, at this version of the market."""

    type: ClassVar[str] = "betting.market.resumed.v1"

    market_id: UUID
    reason: Text
    resumed_at: Moment


class MarketRestarted(Event):
    """Two officials signed that a market stopped for a defect goes on, since the books agree: it is where it was, or
    suspended until it opens or closes."""

    type: ClassVar[str] = "betting.market.restarted.v1"

    market_id: UUID
    status: Text
    reason: Text
    officials: tuple[UUID, UUID]
    restarted_at: Moment


class MarketResettling(Event):
    """An official error is being corrected: what was paid too much comes back, then this version is paid."""

    type: ClassVar[str] = "betting.market.resettling.v1"

    market_id: UUID
    settlement_version: Ordinal
    reason: Text
    resettling_at: Moment


class BookLevel(Wire):
    """Everything that rests at one ratio on one side now. Absolute: "0.00" removes the level."""

    runner_id: UUID
    ratio: Ratio
    amount: Amount


class BookChanged(Event):
    """What everyone sees of a market moved; nobody's name is in it. The envelope's sequence orders the changes."""

    type: ClassVar[str] = "betting.book.changed.v1"

    market_id: UUID
    market_version: Ordinal
    levels: tuple[BookLevel, ...]
    changed_at: Moment


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
