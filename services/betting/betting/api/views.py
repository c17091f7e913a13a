"""What clients are shown. Books never show who offers."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.http import View
from common.idempotency import Answer
from common.money import Money

from betting.domain.ids import Minor
from betting.domain.markets import Market, MarketKind, MarketStatus, TieRule
from betting.domain.offers import Ending, Offer, OfferStatus, Side
from betting.domain.races import Declaration, Event, EventStatus, Margin, Race, RaceStatus
from betting.domain.settlement import Verdict
from betting.store.reading import Bet, Level, OwnFill, OwnOffer, RaceCard


def amount(minor: Minor, currency: str) -> str:
    return str(Money.from_minor(minor, currency))


def cursor(at: datetime, id: UUID) -> str:
    return urlsafe_b64encode(f"{at.isoformat()} {id}".encode()).decode()


class EventView(View):
    id: UUID
    name: str
    venue: str
    permit: str
    starts_at: datetime
    status: EventStatus

    @classmethod
    def of(cls, event: Event) -> "EventView":
        return cls(
            id=event.id,
            name=event.name,
            venue=event.venue,
            permit=event.permit,
            starts_at=event.starts_at,
            status=event.status,
        )


class EventPage(View):
    """The latest start first."""

    items: tuple[EventView, ...]
    next: str | None

    @classmethod
    def of(cls, events: Sequence[Event], limit: int) -> "EventPage":
        return cls(
            items=tuple(EventView.of(event) for event in events),
            next=cursor(events[-1].starts_at, events[-1].id) if len(events) == limit else None,
        )


class MarketView(View):
    """A market and its terms. Send `version` with every offer: it says which market you saw."""

    id: UUID
    race_id: UUID
    kind: MarketKind
    status: MarketStatus
    version: int
    currency: str
    commission_bps: int
    tie_rule: TieRule
    min_stake: str
    max_stake: str
    terms_hash: str
    escrow: str

    @classmethod
    def of(cls, market: Market) -> "MarketView":
        return cls.model_validate(_market(market))


class LevelView(View):
    """Everything on offer at one ratio, as its makers put it: they risk `risk` to win `win`."""

    risk: int
    win: int
    amount: str


class BookSideView(View):
    """The offers that back one runner, the best for whoever takes them first."""

    runner_id: UUID
    levels: tuple[LevelView, ...]


class BookView(MarketView):
    """A market with its book."""

    book: tuple[BookSideView, BookSideView]

    @classmethod
    def showing(cls, market: Market, levels: Sequence[Level]) -> "BookView":
        sides = tuple(
            {"runner_id": market.runner_of(side), "levels": _levels(market, side, levels)} for side in Side
        )
        return cls.model_validate({**_market(market), "book": sides})


class RunnerView(View):
    id: UUID
    horse: str


class ResultView(View):
    """A final result; `winner` is null for a dead heat."""

    winner: UUID | None
    margin: Margin | None
    off_time: datetime
    photo_sha256: str

    @classmethod
    def of(cls, result: Declaration) -> "ResultView":
        return cls(
            winner=result.winner,
            margin=result.margin,
            off_time=result.off_time,
            photo_sha256=result.photo_sha256.hex(),
        )


class RaceView(View):
    """A race, with its market once it is open and its result once it is final."""

    id: UUID
    event_id: UUID
    number: int
    distance_m: int
    starts_at: datetime
    status: RaceStatus
    runners: tuple[RunnerView, RunnerView]
    market: MarketView | None = None
    result: ResultView | None = None

    @classmethod
    def of(cls, race: Race, market: Market | None = None, result: Declaration | None = None) -> "RaceView":
        first, second = race.runners
        return cls(
            id=race.id,
            event_id=race.event_id,
            number=race.number,
            distance_m=race.distance_m,
            starts_at=race.starts_at,
            status=race.status,
            runners=(
                RunnerView(id=first.id, horse=first.horse),
                RunnerView(id=second.id, horse=second.horse),
            ),
            market=None if market is None else MarketView.of(market),
            result=None if result is None else ResultView.of(result),
        )


class CardView(View):
    """An event with all its races."""

    event: EventView
    races: tuple[RaceView, ...]

    @classmethod
    def of(cls, event: Event, card: Sequence[RaceCard]) -> "CardView":
        return cls(
            event=EventView.of(event),
            races=tuple(RaceView.of(entry.race, entry.market, entry.result) for entry in card),
        )


class FillView(View):
    """A bet of yours: at this ratio you risk `stake`, and win the pot or nothing."""

    id: UUID
    risk: int
    win: int
    stake: str
    pot: str
    matched_at: datetime

    @classmethod
    def of(cls, fill: OwnFill, currency: str) -> "FillView":
        return cls(
            id=fill.id,
            risk=fill.ratio.risk,
            win=fill.ratio.win,
            stake=amount(fill.stake, currency),
            pot=amount(fill.pot, currency),
            matched_at=fill.matched_at,
        )


class OfferView(View):
    """Your offer: `matched + remaining + released` is always its stake."""

    id: UUID
    market_id: UUID
    market_version: int
    runner_id: UUID
    risk: int
    win: int
    stake: str
    currency: str
    status: OfferStatus
    matched: str
    remaining: str
    released: str
    ending: Ending | None
    placed_at: datetime
    fills: tuple[FillView, ...]

    @classmethod
    def of(cls, own: OwnOffer) -> "OfferView":
        offer, currency = own.offer, own.market.terms.currency
        return cls(
            id=offer.id,
            market_id=offer.market_id,
            market_version=offer.market_version,
            runner_id=own.market.runner_of(offer.side),
            risk=offer.ratio.risk,
            win=offer.ratio.win,
            stake=amount(offer.stake, currency),
            currency=currency,
            status=offer.status,
            matched=amount(offer.matched, currency),
            remaining=amount(offer.remaining, currency),
            released=amount(offer.released, currency),
            ending=offer.ending,
            placed_at=offer.placed_at,
            fills=tuple(FillView.of(fill, currency) for fill in own.fills),
        )


class OfferPage(View):
    """The newest first."""

    items: tuple[OfferView, ...]
    next: str | None

    @classmethod
    def of(cls, offers: Sequence[OwnOffer], limit: int) -> "OfferPage":
        last = offers[-1].offer if len(offers) == limit else None
        return cls(
            items=tuple(OfferView.of(own) for own in offers),
            next=None if last is None else cursor(last.placed_at, last.id),
        )


class CancelView(View):
    """What a cancel really took back; the rest had become bets or had ended before."""

    id: UUID
    status: OfferStatus
    cancelled: str
    matched: str
    currency: str

    @classmethod
    def of(cls, offer: Offer, market: Market, cancelled: Minor) -> "CancelView":
        currency = market.terms.currency
        return cls(
            id=offer.id,
            status=offer.status,
            cancelled=amount(cancelled, currency),
            matched=amount(offer.matched, currency),
            currency=currency,
        )


class BetView(FillView):
    """A bet of yours and, once its market is settled or void, how it came out."""

    offer_id: UUID
    market_id: UUID
    runner_id: UUID
    currency: str
    verdict: Verdict | None

    @classmethod
    def showing(cls, bet: Bet) -> "BetView":
        currency = bet.market.terms.currency
        return cls(
            **dict(FillView.of(bet.fill, currency)),
            offer_id=bet.fill.offer_id,
            market_id=bet.market.id,
            runner_id=bet.market.runner_of(bet.side),
            currency=currency,
            verdict=None if bet.outcome is None else bet.outcome.verdict(bet.side),
        )


class BetPage(View):
    """The newest first."""

    items: tuple[BetView, ...]
    next: str | None

    @classmethod
    def of(cls, bets: Sequence[Bet], limit: int) -> "BetPage":
        last = bets[-1].fill if len(bets) == limit else None
        return cls(
            items=tuple(BetView.showing(bet) for bet in bets),
            next=None if last is None else cursor(last.matched_at, last.id),
        )


def own_offer_answer(own: OwnOffer) -> Answer:
    """The answer to a placement, whoever finishes it."""
    return Answer.of(OfferView.of(own), status=201, resource=f"offers/{own.offer.id}")


def _market(market: Market) -> dict[str, object]:
    terms = market.terms
    return {
        "id": market.id,
        "race_id": terms.race_id,
        "kind": terms.kind,
        "status": market.status,
        "version": market.version,
        "currency": terms.currency,
        "commission_bps": terms.commission_bps,
        "tie_rule": terms.tie_rule,
        "min_stake": amount(terms.min_stake, terms.currency),
        "max_stake": amount(terms.max_stake, terms.currency),
        "terms_hash": terms.digest.hex(),
        "escrow": amount(market.escrow, terms.currency),
    }


def _levels(market: Market, side: Side, levels: Sequence[Level]) -> tuple[LevelView, ...]:
    currency = market.terms.currency
    return tuple(
        LevelView(risk=level.ratio.risk, win=level.ratio.win, amount=amount(level.amount, currency))
        for level in levels
        if level.side is side
    )
