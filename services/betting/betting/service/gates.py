"""What happens to a race before it has a result, and what that does to its markets.

Whoever voids bets decides about money like a judge: nobody does who has an offer at the event or a horse in it.
Locks are taken in one order everywhere: race, event, markets by id.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from common.deadlines import Deadline, Handler
from common.idempotency import Answer
from common.outbox import announce_all
from common.pg import Connection, Pool
from contracts import betting as wire
from contracts.wire import Event as Told

from betting.chronicle import announcement
from betting.domain.errors import MarketNotFound, MarketStateConflict, RaceStateConflict, RunnerNotFound
from betting.domain.events import Event, EventStatus
from betting.domain.ids import EventId, MarketId, RaceId, RunnerId, UserId
from betting.domain.markets import TRADING, Market, MarketStatus
from betting.domain.offers import Ending, OfferStatus
from betting.domain.races import NOT_RUN, Race, RaceStatus
from betting.service.calls import Call, Clock, Show, now_utc, once_in
from betting.service.floor import session_in, write
from betting.service.programme import Programme
from betting.store.exchange import Change, ExchangeStore
from betting.store.programme import ProgrammeStore
from betting.store.registry import RegistryStore
from betting.store.results import ResultStore


class Gates:
    def __init__(self, pool: Pool, programme: Programme, *, clock: Clock = now_utc) -> None:
        self._pool = pool
        self._programme = programme
        self._clock = clock

    async def close(self, call: Call, market_id: MarketId, show: Show[Market]) -> Answer:
        """The horses are at the gate: every market of the race closes, for ever. What rests unmatched lapses.

        Raises MarketNotFound; MarketStateConflict and RaceStateConflict are stored answers.
        """

        async def work(conn: Connection) -> Answer:
            race_id = await ProgrammeStore(conn).race_of_market(market_id)
            if race_id is None:
                raise MarketNotFound("no such market")
            closed = await self._at_gate(conn, call, race_id)
            market = next((each for each in closed if each.id == market_id), None)
            if market is None:
                raise MarketStateConflict("the market is not open")
            return show(market)

        return await once_in(self._pool, call, work)

    async def off(self, call: Call, race_id: RaceId, show: Show[Race]) -> Answer:
        """The race is off. Whatever is still open closes.

        Raises RaceNotFound; RaceStateConflict is a stored answer.
        """

        async def work(conn: Connection) -> Answer:
            race = await ProgrammeStore(conn).race_for_update(race_id)
            if race.status in {RaceStatus.SCHEDULED, RaceStatus.POSTPONED}:
                await self._at_gate(conn, call, race_id)
                race = race.moved(RaceStatus.AT_GATE)
            now = self._clock()
            return show(
                await self._tell(conn, call, [race.moved(RaceStatus.OFF)], "they are off", off_at=now)
            )

        return await once_in(self._pool, call, work)

    async def finish(self, call: Call, race_id: RaceId, show: Show[Race]) -> Answer:
        """They are in. Raises RaceNotFound; RaceStateConflict is a stored answer."""

        async def work(conn: Connection) -> Answer:
            race = await ProgrammeStore(conn).race_for_update(race_id)
            return show(await self._tell(conn, call, [race.moved(RaceStatus.FINISHED)], "they are in"))

        return await once_in(self._pool, call, work)

    async def scratch(self, call: Call, race_id: RaceId, reason: str, show: Show[Race]) -> Answer:
        """The race will not be run: its markets stop at once, and every stake in them goes back.

        Raises RaceNotFound, OfficialHasBet, OfficialConnected; RaceStateConflict is a stored answer.
        """
        return await once_in(
            self._pool, call, lambda conn: self._show(conn, call, race_id, reason, show, RaceStatus.NO_CORRE)
        )

    async def no_contest(self, call: Call, race_id: RaceId, reason: str, show: Show[Race]) -> Answer:
        """The race was run, or begun, and does not count.

        Raises RaceNotFound, OfficialHasBet, OfficialConnected; RaceStateConflict is a stored answer.
        """
        return await once_in(
            self._pool,
            call,
            lambda conn: self._show(conn, call, race_id, reason, show, RaceStatus.NO_CONTEST),
        )

    async def scratch_runner(
        self, call: Call, race_id: RaceId, runner_id: RunnerId, reason: str, show: Show[Race]
    ) -> Answer:
        """One horse of several does not start: the markets about it are void and the others stand.

        Raises RaceNotFound, RunnerNotFound, OfficialHasBet, OfficialConnected; RaceStateConflict is a stored answer, in
        a match race too: there the race itself is scratched.
        """

        async def work(conn: Connection) -> Answer:
            store, now = ProgrammeStore(conn), self._clock()
            race = await store.race_for_update(race_id)
            runner = race.runner(runner_id)
            if runner is None:
                raise RunnerNotFound("no such runner in this race")
            starting = [each for each in race.runners if not each.scratched]
            if race.status not in NOT_RUN or runner.scratched:
                raise RaceStateConflict(f"the race is {race.status}, or the horse is out already")
            if len(starting) <= 2:
                raise RaceStateConflict("two horses are left: scratch the race")
            await _judges(conn, race, call.user_id)
            await store.scratch_runner(runner_id, reason, now)
            version = await store.save_races([race], actor=call.user_id, why=reason, told=1)
            told = wire.RunnerScratched(
                race_id=race.id, runner_id=runner_id, reason=reason[:200], scratched_at=now
            )
            await announce_all(conn, (announcement("races", race.id, version, told, now),))
            about = [
                market
                for market in await ExchangeStore(conn).markets_of_race_for_update(race_id)
                if market.side_of(runner_id) is not None
            ]
            await self._void(conn, call.user_id, about, reason)
            return show(await store.race(race_id))

        return await once_in(self._pool, call, work)

    async def postpone(
        self, call: Call, race_id: RaceId, starts_at: datetime, reason: str, show: Show[Race]
    ) -> Answer:
        """Put a race off. Past the event's day its markets are void; on the same day bets stand.

        Raises RaceNotFound, and where bets are voided OfficialHasBet, OfficialConnected; RaceStateConflict is a stored answer.
        """

        async def work(conn: Connection) -> Answer:
            programme = ProgrammeStore(conn)
            race = await programme.race_for_update(race_id)
            event = await programme.event_for_update(race.event_id)
            race = replace(race.moved(RaceStatus.POSTPONED), starts_at=starts_at)
            race = await self._tell(conn, call, [race], reason)
            if starts_at >= event.day_ends_at:
                await _judges(conn, race, call.user_id)
                markets = await ExchangeStore(conn).markets_of_race_for_update(race_id)
                await self._void(
                    conn, call.user_id, markets, f"postponed past the event's day: {reason}"[:500]
                )
            return show(race)

        return await once_in(self._pool, call, work)

    async def cancel_event(self, call: Call, event_id: EventId, reason: str, show: Show[Event]) -> Answer:
        """The day is off: every race that has not been run is scratched.

        Raises EventNotFound, OfficialHasBet, OfficialConnected; EventStateConflict is a stored answer.
        """

        async def work(conn: Connection) -> Answer:
            races = await ProgrammeStore(conn).races_of_event_for_update(event_id)
            event = await self._programme.move_event(conn, event_id, EventStatus.CANCELLED, call, reason)
            for race in races:
                if race.status in NOT_RUN:
                    await self._end(conn, call, race, RaceStatus.NO_CORRE, reason)
            return show(event)

        return await once_in(self._pool, call, work)

    def post_time(self) -> Handler:
        """What the deadline of a market does: it closes, if nobody closed it before."""

        async def lock(conn: Connection, deadline: Deadline) -> None:
            await ExchangeStore(conn).market_for_update(_market_of(deadline))

        async def effect(conn: Connection, deadline: Deadline) -> None:
            market = await ExchangeStore(conn).market_for_update(_market_of(deadline))
            if market.status in {MarketStatus.OPEN, MarketStatus.SUSPENDED} and market.defect is None:
                await close_market(
                    conn, market, Ending.MARKET_CLOSED, self._clock(), actor=None, why="post time"
                )

        return Handler(lock, effect)

    async def _at_gate(self, conn: Connection, call: Call, race_id: RaceId) -> list[Market]:
        """Every market of the race that was open, closed. Drafts are closed with them."""
        programme = ProgrammeStore(conn)
        race = (await programme.race_for_update(race_id)).moved(RaceStatus.AT_GATE)
        event = await programme.event_for_update(race.event_id)
        if event.status is EventStatus.PUBLISHED:
            await self._programme.move_event(
                conn, event.id, EventStatus.LIVE, call, "the first race is at the gate"
            )
        markets = await ExchangeStore(conn).markets_of_race_for_update(race_id)
        await self._tell(conn, call, [race], "at the gate")
        now = self._clock()  # not before they are locked: until then offers meet
        return [
            await close_market(conn, market, Ending.MARKET_CLOSED, now, actor=call.user_id, why="at the gate")
            for market in markets
            if market.status in TRADING and market.defect is None
        ]

    async def _show(
        self, conn: Connection, call: Call, race_id: RaceId, reason: str, show: Show[Race], to: RaceStatus
    ) -> Answer:
        race = await ProgrammeStore(conn).race_for_update(race_id)
        return show(await self._end(conn, call, race, to, reason))

    async def _end(self, conn: Connection, call: Call, race: Race, to: RaceStatus, reason: str) -> Race:
        """End a locked race without a result, and void its markets."""
        now = self._clock()
        race = race.moved(to)
        await _judges(conn, race, call.user_id)
        if to is RaceStatus.NO_CORRE:
            version = await ProgrammeStore(conn).save_races([race], actor=call.user_id, why=reason, told=1)
            told: Told = wire.RaceScratched(
                race_id=race.id, reason=reason[:200], scratched_by=call.user_id, scratched_at=now
            )
            await announce_all(conn, (announcement("races", race.id, version, told, now),))
        else:
            await self._tell(conn, call, [race], reason)
        markets = await ExchangeStore(conn).markets_of_race_for_update(race.id)
        await self._void(conn, call.user_id, markets, reason)
        return race

    async def _void(self, conn: Connection, actor: UserId, markets: Sequence[Market], reason: str) -> None:
        """These locked markets will be void, whatever anybody declares."""
        now = self._clock()
        for market in markets:
            if market.status in TRADING and market.defect is None:
                await close_market(
                    conn, market.voided(reason), Ending.RACE_SCRATCHED, now, actor=actor, why=reason
                )
            elif market.may_be_void:  # a stopped one as well: should it ever start again, it is void
                doomed = market.voided(reason)
                await ExchangeStore(conn).save([Change(doomed)], now=now, actor=actor, why=reason)

    async def _tell(
        self,
        conn: Connection,
        call: Call,
        states: Sequence[Race],
        why: str,
        *,
        off_at: datetime | None = None,
    ) -> Race:
        race, now = states[-1], self._clock()
        version = await ProgrammeStore(conn).save_races(
            states, actor=call.user_id, why=why, told=1, off_at=off_at
        )
        told = wire.RaceMoved(
            race_id=race.id, status=race.status, reason=why[:200], starts_at=race.starts_at, moved_at=now
        )
        await announce_all(conn, (announcement("races", race.id, version, told, now),))
        return race


async def _judges(conn: Connection, race: Race, official: UserId) -> None:
    """From now on this official does not bet at the event. Raises OfficialHasBet, OfficialConnected."""
    await ResultStore(conn).check_impartial(race.id, official)
    await RegistryStore(conn).appoint(race.event_id, official, official)


def _market_of(deadline: Deadline) -> MarketId:
    return MarketId(UUID(deadline.subject.removeprefix("markets/")))


async def close_market(
    conn: Connection, market: Market, ending: Ending, now: datetime, *, actor: UserId | None, why: str
) -> Market:
    """Close a locked market and let everything that rests in it lapse."""
    before = market
    session = await session_in(conn, market.moved(MarketStatus.CLOSED), now)
    session.chronicle.closed()
    session.end_all(lambda _: True, OfferStatus.LAPSED, ending, actor=None)
    return await write(conn, before, session, actor=actor, why=why, closed_at=now)
