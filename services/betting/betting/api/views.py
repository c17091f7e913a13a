"""What everyone is shown: the programme, markets and their books. Books never show who offers."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from common.http import View
from common.money import Money

from betting.domain.book import Level
from betting.domain.events import Event, EventStatus
from betting.domain.ids import Minor
from betting.domain.margins import Margin
from betting.domain.markets import CloseRule, Market, MarketKind, MarketStatus, TieRule
from betting.domain.offers import Side
from betting.domain.races import Race, RaceStatus
from betting.store.accounts import Change, Transition
from betting.store.reading import RaceCard
from betting.store.results import Result, Source


def amount(minor: Minor, currency: str) -> str:
    return str(Money.from_minor(minor, currency))


def cursor(at: datetime, id: UUID) -> str:
    return urlsafe_b64encode(f"{at.isoformat()} {id}".encode()).decode()


class EventView(View):
    id: UUID
    name: str
    venue: str
    state: str
    permit: str
    starts_at: datetime
    day: date
    objection_seconds: int
    status: EventStatus

    @classmethod
    def of(cls, event: Event) -> "EventView":
        return cls(
            id=event.id,
            name=event.name,
            venue=event.venue,
            state=event.state,
            permit=event.permit,
            starts_at=event.starts_at,
            day=event.day,
            objection_seconds=event.objection_seconds,
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
    """A market and its terms. Send `version` with every offer: it says which market you saw. `terms_hash` is the
    SHA-256 of `terms`, canonical JSON. `sequence` counts everything that happened in it; `settlement` its settlements.
    """

    id: UUID
    race_id: UUID
    kind: MarketKind
    status: MarketStatus
    version: int
    sequence: int
    runners: tuple[UUID, UUID]
    giver: UUID | None
    line: Margin | None
    currency: str
    commission_bps: int
    tie_rule: TieRule
    close_rule: CloseRule
    closes_at: datetime | None
    min_stake: str
    max_stake: str
    max_exposure: str
    objection_seconds: int
    terms: str
    terms_hash: str
    escrow: str
    void_reason: str | None
    settlement: int

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
        return cls.model_validate({**_market(market), "book": _book(market, levels)})


class RunnerView(View):
    """A horse, the stable it runs for and the lane it starts from."""

    id: UUID
    horse: str
    stable: UUID | None
    carril: int | None
    scratched: bool


class ResultView(View):
    """A confirmed result; it counts once the race is FINAL. `winner` is null for a dead heat of the first."""

    version: int
    source: Source
    winner: UUID | None
    margin: Margin | None
    places: tuple[tuple[UUID, ...], ...]
    off_time: datetime
    photo_sha256: str
    reason: str
    decided_at: datetime

    @classmethod
    def of(cls, result: Result) -> "ResultView":
        seen = result.declared
        return cls(
            version=result.version,
            source=result.source,
            winner=seen.winner,
            margin=seen.margin,
            places=seen.places,
            off_time=seen.off_time,
            photo_sha256=seen.photo_sha256.hex(),
            reason=result.reason,
            decided_at=result.decided_at,
        )


class RaceView(View):
    """A race with its markets, and its result once two officials agree. `market` is the first of the markets."""

    id: UUID
    event_id: UUID
    number: int
    distance_m: int
    starts_at: datetime
    status: RaceStatus
    conditions: str | None
    objection_until: datetime | None
    runners: tuple[RunnerView, ...]
    market: MarketView | None = None
    markets: tuple[MarketView, ...] = ()
    result: ResultView | None = None

    @classmethod
    def of(cls, race: Race) -> "RaceView":
        return cls.showing(RaceCard(race))

    @classmethod
    def showing(cls, card: RaceCard) -> "RaceView":
        race, markets = card.race, tuple(MarketView.of(market) for market in card.markets)
        return cls(
            id=race.id,
            event_id=race.event_id,
            number=race.number,
            distance_m=race.distance_m,
            starts_at=race.starts_at,
            status=race.status,
            conditions=race.conditions,
            objection_until=race.objection_until,
            runners=tuple(
                RunnerView(
                    id=runner.id,
                    horse=runner.horse,
                    stable=runner.stable,
                    carril=runner.carril,
                    scratched=runner.scratched,
                )
                for runner in race.runners
            ),
            market=markets[0] if markets else None,
            markets=markets,
            result=None if card.result is None else ResultView.of(card.result),
        )


class ImportView(View):
    """The races a card became."""

    races: tuple[RaceView, ...]

    @classmethod
    def of(cls, races: Sequence[Race]) -> "ImportView":
        return cls(races=tuple(RaceView.of(race) for race in races))


class CardView(View):
    """An event with all its races."""

    event: EventView
    races: tuple[RaceView, ...]

    @classmethod
    def of(cls, event: Event, card: Sequence[RaceCard]) -> "CardView":
        return cls(event=EventView.of(event), races=tuple(RaceView.showing(entry) for entry in card))


class ChangeView(View):
    """Levels of the book that changed together, as they were then: amounts are absolute, "0.00" removes a level."""

    sequence: int
    at: datetime
    book: tuple[BookSideView, BookSideView]


class ChangesView(View):
    """A market's history, in order. Replayed from the beginning it is the book; `next` is where to go on."""

    market_id: UUID
    items: tuple[ChangeView, ...]
    next: int | None

    @classmethod
    def of(cls, market: Market, changes: Sequence[Change], limit: int) -> "ChangesView":
        return cls(
            market_id=market.id,
            items=tuple(
                ChangeView(sequence=change.sequence, at=change.at, book=_book(market, change.levels))
                for change in changes
            ),
            next=changes[-1].sequence if len(changes) == limit else None,
        )


class TransitionView(View):
    """A move from one state to the next: by whom (null: the platform itself), why and when."""

    id: int
    was: str | None
    became: str
    actor: UUID | None
    reason: str
    at: datetime


class TransitionsView(View):
    """Every state one thing has been in."""

    items: tuple[TransitionView, ...]

    @classmethod
    def of(cls, moves: Sequence[Transition]) -> "TransitionsView":
        return cls(
            items=tuple(
                TransitionView(
                    id=move.id,
                    was=move.was,
                    became=move.became,
                    actor=move.actor,
                    reason=move.reason,
                    at=move.at,
                )
                for move in moves
            )
        )


def _market(market: Market) -> dict[str, object]:
    terms = market.terms
    return {
        "id": market.id,
        "race_id": terms.race_id,
        "kind": terms.kind,
        "status": market.status,
        "version": market.version,
        "sequence": market.sequence,
        "runners": (terms.runner_a, terms.runner_b),
        "giver": None if terms.giver is None else market.runner_of(terms.giver),
        "line": terms.line,
        "currency": terms.currency,
        "commission_bps": terms.commission_bps,
        "tie_rule": terms.tie_rule,
        "close_rule": terms.close_rule,
        "closes_at": terms.closes_at,
        "min_stake": amount(terms.min_stake, terms.currency),
        "max_stake": amount(terms.max_stake, terms.currency),
        "max_exposure": amount(terms.max_exposure, terms.currency),
        "objection_seconds": terms.objection_seconds,
        "terms": terms.wording,
        "terms_hash": terms.digest.hex(),
        "escrow": amount(market.in_escrow, terms.currency),
        "void_reason": market.void_reason,
        "settlement": market.settlement,
    }


def _book(market: Market, levels: Sequence[Level]) -> tuple[BookSideView, BookSideView]:
    first, second = (
        BookSideView(runner_id=market.runner_of(side), levels=_levels(market, side, levels)) for side in Side
    )
    return first, second


def _levels(market: Market, side: Side, levels: Sequence[Level]) -> tuple[LevelView, ...]:
    currency = market.terms.currency
    return tuple(
        LevelView(risk=level.ratio.risk, win=level.ratio.win, amount=amount(level.amount, currency))
        for level in levels
        if level.side is side
    )
