"""Setting a day of races up: events under a permit, races, and markets about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from uuid import UUID, uuid4

from common.deadlines import arm
from common.idempotency import Answer
from common.outbox import announce_all
from common.pg import Connection, Pool
from contracts import betting as wire

from betting.chronicle import Chronicle, announcement
from betting.domain.cards import RaceRow, against_programme, read_card, refusal
from betting.domain.errors import (
    BettingSuspended,
    EventStateConflict,
    PermitMissing,
    RaceStateConflict,
    RunnerNotFound,
    TermsInvalid,
)
from betting.domain.events import Event, EventStatus
from betting.domain.ids import EventId, MarketId, Minor, RaceId, RunnerId, StableId
from betting.domain.margins import Margin
from betting.domain.markets import CloseRule, Market, MarketKind, MarketStatus, Terms, TieRule
from betting.domain.offers import Side
from betting.domain.races import NOT_RUN, Race, RaceStatus, Runner, check_horses
from betting.service.barring import end_forbidden
from betting.service.calls import Call, Clock, NewId, Show, now_utc, once_in
from betting.store.exchange import Change, ExchangeStore
from betting.store.programme import ProgrammeStore
from betting.store.registry import RegistryStore
from betting.store.suspensions import SuspensionStore

POST_TIME = "market-post-time"
"""The kind of deadline that closes a market at its race's announced time."""


def market_subject(market: MarketId) -> str:
    return f"markets/{market}"


@dataclass(frozen=True, slots=True)
class WantedEvent:
    """`starts_at` in the venue's own offset: its date is the event's day."""

    name: str
    venue: str
    permit: str
    starts_at: datetime
    state: str = "SIN"
    carril_id: UUID | None = None
    objection_seconds: int = 600


@dataclass(frozen=True, slots=True)
class WantedRace:
    number: int
    distance_m: int
    horses: tuple[str, ...]
    starts_at: datetime
    conditions: str | None = None
    stables: tuple[StableId | None, ...] = ()


@dataclass(frozen=True, slots=True)
class WantedMarket:
    """`runners` names the two the market is about; it may be left out in a match race. A draft is opened later."""

    currency: str
    commission_bps: int
    tie_rule: TieRule
    min_stake: Minor
    max_stake: Minor
    max_exposure: Minor = 10**11
    kind: MarketKind = MarketKind.GANA
    runners: tuple[RunnerId, RunnerId] | None = None
    giver: RunnerId | None = None
    line: Margin | None = None
    close_rule: CloseRule = CloseRule.GATE
    draft: bool = False


class Programme:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc, new_id: NewId = uuid4) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id

    async def create_event(self, call: Call, wanted: WantedEvent, show: Show[Event]) -> Answer:
        """Draft an event. Nobody but officials sees it before it is published. Raises CarrilNotFound."""

        async def work(conn: Connection) -> Answer:
            venue, state = wanted.venue, wanted.state
            if wanted.carril_id is not None:
                carril = await RegistryStore(conn).carril(wanted.carril_id)
                venue, state = carril.name, carril.state
            event = Event(
                id=EventId(self._new_id()),
                name=wanted.name,
                venue=venue,
                state=state,
                permit=wanted.permit,
                starts_at=wanted.starts_at,
                day=wanted.starts_at.date(),
                day_ends_at=_next_midnight(wanted.starts_at),
                objection_seconds=wanted.objection_seconds,
                status=EventStatus.DRAFT,
            )
            await ProgrammeStore(conn).add_event(event, call.user_id, wanted.carril_id)
            return show(event)

        return await once_in(self._pool, call, work)

    async def publish(self, call: Call, event_id: EventId, show: Show[Event]) -> Answer:
        """Publish an event. Raises EventNotFound; EventStateConflict and PermitMissing are stored answers."""

        async def work(conn: Connection) -> Answer:
            store, now = ProgrammeStore(conn), self._clock()
            event = (await store.event_for_update(event_id)).moved(EventStatus.PUBLISHED)
            permits = await RegistryStore(conn).permits(event.permit, event.venue)
            if not any(permit.covers(event) for permit in permits):
                raise PermitMissing("no permit covers this venue and day", field="permit")
            version = await store.save_event(event, actor=call.user_id, why="published")
            told = wire.EventPublished(
                event_id=event.id,
                name=event.name,
                venue=event.venue,
                permit=event.permit,
                starts_at=event.starts_at,
            )
            await announce_all(conn, (announcement("events", event.id, version, told, now),))
            return show(event)

        return await once_in(self._pool, call, work)

    async def close_event(self, call: Call, event_id: EventId, show: Show[Event]) -> Answer:
        """The day is over. Raises EventNotFound; EventStateConflict is a stored answer, also while a race is open."""

        async def work(conn: Connection) -> Answer:
            store = ProgrammeStore(conn)
            races = await store.races_of_event_for_update(event_id)
            ended = {RaceStatus.FINAL, RaceStatus.NO_CONTEST, RaceStatus.NO_CORRE}
            if any(race.status not in ended for race in races):
                raise EventStateConflict("there are races to run or to decide")
            return show(await self.move_event(conn, event_id, EventStatus.CLOSED, call, "the day is over"))

        return await once_in(self._pool, call, work)

    async def move_event(
        self, conn: Connection, event_id: EventId, to: EventStatus, call: Call, why: str
    ) -> Event:
        """Move an event and tell it, in the caller's transaction. Raises EventNotFound, EventStateConflict."""
        store, now = ProgrammeStore(conn), self._clock()
        event = (await store.event_for_update(event_id)).moved(to)
        version = await store.save_event(event, actor=call.user_id, why=why)
        told = wire.EventMoved(event_id=event.id, status=event.status, reason=why[:200], moved_at=now)
        await announce_all(conn, (announcement("events", event.id, version, told, now),))
        return event

    async def schedule_race(
        self, call: Call, event_id: EventId, wanted: WantedRace, show: Show[Race]
    ) -> Answer:
        """Put a race on the card.

        Raises EventNotFound, StableNotFound, HorsesInvalid, TermsInvalid; RaceNumberTaken is a stored answer.
        """
        check_horses(wanted.horses)

        async def work(conn: Connection) -> Answer:
            await ProgrammeStore(conn).event_for_update(event_id)
            return show(await self._add_race(conn, call, event_id, wanted))

        return await once_in(self._pool, call, work)

    async def import_card(
        self, call: Call, event_id: EventId, text: str, show: Show[Sequence[Race]]
    ) -> Answer:
        """Put all races of a card (CSV) on the event, or none.

        Raises EventNotFound, and CardInvalid with everything that is wrong, row by row.
        """
        rows = read_card(text)

        async def work(conn: Connection) -> Answer:
            await ProgrammeStore(conn).event_for_update(event_id)
            wanted = await _races(conn, event_id, rows)
            return show([await self._add_race(conn, call, event_id, race) for race in wanted])

        return await once_in(self._pool, call, work)

    async def set_stable(
        self, call: Call, runner_id: RunnerId, race_id: RaceId, stable: StableId, show: Show[Race]
    ) -> Answer:
        """Say which stable a horse runs for. Its people bet only on it from now on; what they have resting otherwise ends.

        Raises RaceNotFound, RunnerNotFound, StableNotFound; RaceStateConflict is a stored answer.
        """

        async def work(conn: Connection) -> Answer:
            store = ProgrammeStore(conn)
            race = await store.race_for_update(race_id)
            if race.runner(runner_id) is None:
                raise RunnerNotFound("no such runner in this race")
            if race.status not in NOT_RUN:
                raise RaceStateConflict(f"the race is {race.status}")
            await RegistryStore(conn).stable(stable)
            await store.set_stable(runner_id, stable)
            markets = await ExchangeStore(conn).markets_of_race_for_update(race_id)
            await end_forbidden(conn, markets, self._clock())
            return show(await store.race(race_id))

        return await once_in(self._pool, call, work)

    async def open_market(
        self, call: Call, race_id: RaceId, wanted: WantedMarket, show: Show[Market]
    ) -> Answer:
        """Open a market about the race, or draft it. Its terms are fixed from here on.

        Raises RaceNotFound, TermsInvalid; RaceStateConflict, EventStateConflict and MarketExists are stored answers.
        """

        async def work(conn: Connection) -> Answer:
            programme, now = ProgrammeStore(conn), self._clock()
            race = await programme.race_for_update(race_id)
            event = await programme.event_for_update(race.event_id)
            _check_ready(race, event)
            market = Market(
                id=MarketId(self._new_id()),
                terms=await _terms(conn, race, event, wanted),
                status=MarketStatus.DRAFT,
                version=0,
                sequence=0,
                escrow=0,
            )
            await ExchangeStore(conn).add_market(market, opened_by=call.user_id, now=now)
            if not wanted.draft:
                market = await self._open(conn, call, market, race.event_id)
            return show(market)

        return await once_in(self._pool, call, work)

    async def open_draft(self, call: Call, market_id: MarketId, show: Show[Market]) -> Answer:
        """Open a drafted market. Raises MarketNotFound; MarketStateConflict is a stored answer, and so are
        RaceStateConflict and EventStateConflict."""

        async def work(conn: Connection) -> Answer:
            programme = ProgrammeStore(conn)
            drafted = await ExchangeStore(conn).market(market_id)
            race = await programme.race_for_update(drafted.terms.race_id)
            _check_ready(race, await programme.event_for_update(race.event_id))
            market = await ExchangeStore(conn).market_for_update(market_id)
            return show(await self._open(conn, call, market, race.event_id))

        return await once_in(self._pool, call, work)

    async def _open(self, conn: Connection, call: Call, draft: Market, event_id: EventId) -> Market:
        stopped = await SuspensionStore(conn).stopping(draft.id)
        if stopped is not None:
            raise BettingSuspended(f"betting is suspended: {stopped.reason}")
        chronicle = Chronicle(draft.moved(MarketStatus.OPEN), self._clock())
        chronicle.opened(event_id)
        market = chronicle.market
        await ExchangeStore(conn).save([Change(market)], now=chronicle.now, actor=call.user_id, why="opened")
        await announce_all(conn, chronicle.announcements)
        if market.terms.closes_at is not None:
            await arm(conn, market_subject(market.id), POST_TIME, market.terms.closes_at)
        return market

    async def _add_race(self, conn: Connection, call: Call, event_id: EventId, wanted: WantedRace) -> Race:
        store, now = ProgrammeStore(conn), self._clock()
        carril = await RegistryStore(conn).carril_of_event(event_id)
        if carril is not None and wanted.distance_m > carril.length_m:
            raise TermsInvalid(f"{carril.name} is {carril.length_m} m long", field="distance_m")
        stables = wanted.stables or (None,) * len(wanted.horses)
        race = Race(
            id=RaceId(self._new_id()),
            event_id=event_id,
            number=wanted.number,
            distance_m=wanted.distance_m,
            starts_at=wanted.starts_at,
            runners=tuple(
                Runner(RunnerId(self._new_id()), horse, stable, carril=place)
                for place, (horse, stable) in enumerate(zip(wanted.horses, stables, strict=True), start=1)
            ),
            status=RaceStatus.SCHEDULED,
            conditions=wanted.conditions,
        )
        version = await store.add_race(race, call.user_id)
        told = wire.RaceScheduled(
            race_id=race.id,
            event_id=event_id,
            number=race.number,
            distance_m=race.distance_m,
            runners=tuple(wire.Runner(runner_id=runner.id, name=runner.horse) for runner in race.runners),
            starts_at=race.starts_at,
        )
        await announce_all(conn, (announcement("races", race.id, version, told, now),))
        return race


async def _races(conn: Connection, event_id: EventId, rows: Sequence[RaceRow]) -> list[WantedRace]:
    """The rows of a card, their stables found by name. Raises CardInvalid with all that speaks against them here."""
    registry = RegistryStore(conn)
    stables = await registry.stables_named({name for row in rows for name in row.stables if name is not None})
    carril = await registry.carril_of_event(event_id)
    faults = against_programme(
        rows,
        taken=await ProgrammeStore(conn).race_numbers(event_id),
        stables=stables,
        longest_m=None if carril is None else carril.length_m,
    )
    if faults:
        raise refusal(faults)
    return [
        WantedRace(
            row.number, row.distance_m, row.horses, row.starts_at, row.conditions,
            tuple(None if name is None else stables[name] for name in row.stables),
        )
        for row in rows
    ]  # fmt: skip


def _check_ready(race: Race, event: Event) -> None:
    if race.status not in {RaceStatus.SCHEDULED, RaceStatus.POSTPONED}:
        raise RaceStateConflict(f"the race is {race.status}")
    if event.status not in {EventStatus.PUBLISHED, EventStatus.LIVE}:
        raise EventStateConflict("publish the event first")


async def _terms(conn: Connection, race: Race, event: Event, wanted: WantedMarket) -> Terms:
    """The market's terms, taken from everything they depend on as it is now. Raises TermsInvalid."""
    pair = wanted.runners
    if pair is None:
        if not race.is_match:
            raise TermsInvalid("name the two runners the market is about", field="runners")
        pair = race.runners[0].id, race.runners[1].id
    starting = {runner.id for runner in race.runners if not runner.scratched}
    if pair[0] == pair[1] or not set(pair) <= starting:
        raise TermsInvalid("a market is about two different runners of its race", field="runners")
    sides = {pair[0]: Side.A, pair[1]: Side.B}
    giver = None if wanted.giver is None else sides.get(wanted.giver)
    if wanted.giver is not None and giver is None:
        raise TermsInvalid("who gives an advantage is one of the two", field="giver")
    if wanted.kind is MarketKind.VENTAJA:
        if not race.is_match:
            raise TermsInvalid("an advantage is given in a match race only", field="kind")
        carril = await RegistryStore(conn).carril_of_event(event.id)
        if carril is not None and wanted.line is not None and wanted.line not in carril.margins:
            raise TermsInvalid(f"{carril.name} does not judge by {wanted.line}", field="line")
    post_time = wanted.close_rule is CloseRule.POST_TIME
    return Terms(
        race_id=race.id,
        kind=wanted.kind,
        runner_a=pair[0],
        runner_b=pair[1],
        giver=giver,
        line=wanted.line,
        currency=wanted.currency,
        commission_bps=wanted.commission_bps,
        tie_rule=wanted.tie_rule,
        min_stake=wanted.min_stake,
        max_stake=wanted.max_stake,
        max_exposure=wanted.max_exposure,
        close_rule=wanted.close_rule,
        closes_at=race.starts_at if post_time else None,
        objection_seconds=event.objection_seconds,
        permit=event.permit,
    )


def _next_midnight(at: datetime) -> datetime:
    """When its day is over, by its own offset."""
    return datetime.combine(at.date() + timedelta(days=1), time(), at.tzinfo)
