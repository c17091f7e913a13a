"""Setting a day of races up: events under a permit, match races, and a market for each."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from common.idempotency import Answer
from common.outbox import announce_all
from common.pg import Connection, Pool
from contracts import betting as wire

from betting.chronicle import Chronicle, announcement
from betting.domain.errors import EventStateConflict, RaceStateConflict
from betting.domain.ids import EventId, MarketId, Minor, RaceId, RunnerId
from betting.domain.markets import Market, MarketKind, MarketStatus, Terms, TieRule
from betting.domain.races import Event, EventStatus, Race, RaceStatus, Runner, check_horses
from betting.service.calls import Call, Clock, NewId, Show, now_utc, once_in
from betting.store.exchange import ExchangeStore
from betting.store.programme import ProgrammeStore


@dataclass(frozen=True, slots=True)
class WantedEvent:
    name: str
    venue: str
    permit: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class WantedRace:
    number: int
    distance_m: int
    horses: tuple[str, ...]
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class WantedMarket:
    currency: str
    commission_bps: int
    tie_rule: TieRule
    min_stake: Minor
    max_stake: Minor


class Programme:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc, new_id: NewId = uuid4) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id

    async def create_event(self, call: Call, wanted: WantedEvent, show: Show[Event]) -> Answer:
        """Draft an event. Nobody but officials sees it before it is published."""

        async def work(conn: Connection) -> Answer:
            event = Event(
                id=EventId(self._new_id()),
                name=wanted.name,
                venue=wanted.venue,
                permit=wanted.permit,
                starts_at=wanted.starts_at,
                status=EventStatus.DRAFT,
            )
            await ProgrammeStore(conn).add_event(event, call.user_id)
            return show(event)

        return await once_in(self._pool, call, work)

    async def publish(self, call: Call, event_id: EventId, show: Show[Event]) -> Answer:
        """Publish an event. Raises EventNotFound; EventStateConflict is a stored answer."""

        async def work(conn: Connection) -> Answer:
            store, now = ProgrammeStore(conn), self._clock()
            event = (await store.event_for_update(event_id)).published()
            version = await store.save_event(event)
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

    async def schedule_race(
        self, call: Call, event_id: EventId, wanted: WantedRace, show: Show[Race]
    ) -> Answer:
        """Put a match race on the card. Raises EventNotFound, HorsesInvalid; RaceNumberTaken is a stored answer."""
        first, second = check_horses(wanted.horses)

        async def work(conn: Connection) -> Answer:
            store, now = ProgrammeStore(conn), self._clock()
            await store.event_for_update(event_id)
            race = Race(
                id=RaceId(self._new_id()),
                event_id=event_id,
                number=wanted.number,
                distance_m=wanted.distance_m,
                starts_at=wanted.starts_at,
                runners=(self._runner(first), self._runner(second)),
                status=RaceStatus.SCHEDULED,
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
            return show(race)

        return await once_in(self._pool, call, work)

    async def open_market(
        self, call: Call, race_id: RaceId, wanted: WantedMarket, show: Show[Market]
    ) -> Answer:
        """Open the race's market. Its terms are fixed from here on.

        Raises RaceNotFound, TermsInvalid; RaceStateConflict, EventStateConflict and MarketExists are stored answers.
        """

        async def work(conn: Connection) -> Answer:
            programme, now = ProgrammeStore(conn), self._clock()
            race = await programme.race_for_update(race_id)
            event = await programme.event_for_update(race.event_id)
            if race.status is not RaceStatus.SCHEDULED:
                raise RaceStateConflict(f"the race is {race.status}")
            if event.status is not EventStatus.PUBLISHED:
                raise EventStateConflict("publish the event first")
            chronicle = Chronicle(self._market(race, wanted), now)
            chronicle.opened(race.event_id)
            await ExchangeStore(conn).add_market(chronicle.market, opened_by=call.user_id, now=now)
            await announce_all(conn, chronicle.announcements)
            return show(chronicle.market)

        return await once_in(self._pool, call, work)

    def _runner(self, horse: str) -> Runner:
        return Runner(RunnerId(self._new_id()), horse)

    def _market(self, race: Race, wanted: WantedMarket) -> Market:
        first, second = race.runners
        terms = Terms(
            race_id=race.id,
            kind=MarketKind.GANA,
            runner_a=first.id,
            runner_b=second.id,
            currency=wanted.currency,
            commission_bps=wanted.commission_bps,
            tie_rule=wanted.tie_rule,
            min_stake=wanted.min_stake,
            max_stake=wanted.max_stake,
        )
        return Market(
            id=MarketId(self._new_id()),
            terms=terms,
            status=MarketStatus.OPEN,
            version=1,
            sequence=0,
            escrow=0,
        )
