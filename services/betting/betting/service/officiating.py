"""Results: two officials, each blind to what the other saw; objections; rulings; corrections.

1. Judge 1 declares, and nobody is told what. Judge 2 declares. If they agree the result is CONFIRMED and may be objected
   to until the window closes; if not it is DISPUTED.
2. The window closes by a durable deadline, or when every stable in the race has signed that it agrees.
3. An objection makes it DISPUTED. A third official rules, and then it is FINAL.
4. An official error found later is corrected by two signatures: a new version of the result, and the markets settled on
   the old one are settled again. A later disqualification is no official error and changes nothing here.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from common.deadlines import Deadline, Handler, arm, cancel
from common.idempotency import Answer
from common.outbox import announce_all
from common.pg import Connection, Pool
from contracts import betting as wire
from contracts.wire import Event as Told

from betting.chronicle import announcement
from betting.domain.errors import NotAParty, RaceStateConflict, ResultAlreadyDeclared, WindowClosed
from betting.domain.ids import RaceId, UserId
from betting.domain.races import Race, RaceStatus
from betting.domain.results import Declaration, after_declaration, complete
from betting.service.calls import Call, Clock, NewId, Show, now_utc, once_in
from betting.store.programme import ProgrammeStore
from betting.store.registry import RegistryStore
from betting.store.results import ResultStore, Source

OBJECTIONS = "objection-window"
"""The kind of deadline that makes an undisputed result final."""


def race_subject(race: RaceId) -> str:
    return f"races/{race}"


class Officiating:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc, new_id: NewId = uuid4) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id

    async def declare(self, call: Call, race_id: RaceId, declared: Declaration, show: Show[Race]) -> Answer:
        """Declare what an official saw. The second declaration confirms the result, or disputes it.

        Raises RaceNotFound, ResultInvalid, OfficialHasBet, OfficialConnected; RaceStateConflict and
        ResultAlreadyDeclared are stored answers.
        """

        async def work(conn: Connection) -> Answer:
            store, results, now = ProgrammeStore(conn), ResultStore(conn), self._clock()
            race = await store.race_for_update(race_id)
            seen = complete(race, declared)
            earlier = await results.declarations(race_id)
            states = after_declaration(race, call.user_id, seen, earlier)
            await results.add_declaration(race_id, call.user_id, seen, ordinal=len(earlier) + 1, now=now)
            await RegistryStore(conn).appoint(race.event_id, call.user_id, call.user_id)
            officials = (*earlier, call.user_id)
            if states[-1].status is RaceStatus.CONFIRMED:
                return show(await self._confirm(conn, call, states[-1], seen, officials))
            why = "declared" if len(officials) == 1 else "the two declarations differ"
            version = await store.save_races(states, actor=call.user_id, why=why, told=1)
            told: Told = wire.RaceDeclared(race_id=race.id, official_id=officials[0], declared_at=now)
            if states[-1].status is RaceStatus.DISPUTED:
                told = _disputed(race.id, officials, why, now)
            await announce_all(conn, (announcement("races", race.id, version, told, now),))
            return show(states[-1])

        return await once_in(self._pool, call, work)

    async def object_to(
        self, call: Call, race_id: RaceId, reason: str, show: Show[Race], *, official: bool
    ) -> Answer:
        """Object to a confirmed result, as an official or as one of a stable in the race.

        Raises RaceNotFound, NotAParty; WindowClosed is a stored answer.
        """

        async def work(conn: Connection) -> Answer:
            store, now = ProgrammeStore(conn), self._clock()
            race = await store.race_for_update(race_id)
            stable = await RegistryStore(conn).stable_of(call.user_id)
            if not official and (stable is None or stable not in {runner.stable for runner in race.runners}):
                raise NotAParty("only officials and the stables in the race object")
            if (
                race.status is not RaceStatus.CONFIRMED
                or race.objection_until is None
                or now >= race.objection_until
            ):
                raise WindowClosed(f"the race is {race.status}")
            await ResultStore(conn).add_objection(
                self._new_id(), race_id, race.result_version, call.user_id, reason, now
            )
            declarers = tuple(await ResultStore(conn).declarations(race_id))
            race = race.moved(RaceStatus.DISPUTED)
            version = await store.save_races(
                [race], actor=call.user_id, why=f"objection: {reason}"[:500], told=1
            )
            told = _disputed(race.id, declarers, f"objection: {reason}", now)
            await announce_all(conn, (announcement("races", race.id, version, told, now),))
            await cancel(conn, race_subject(race.id), OBJECTIONS)
            return show(race)

        return await once_in(self._pool, call, work)

    async def conform(self, call: Call, race_id: RaceId, show: Show[Race]) -> Answer:
        """Sign for one's stable that the result stands. When every stable in the race has, it is final at once.

        Raises RaceNotFound, NotAParty; WindowClosed and AlreadySigned are stored answers.
        """

        async def work(conn: Connection) -> Answer:
            race = await ProgrammeStore(conn).race_for_update(race_id)
            starting = {runner.stable for runner in race.runners if not runner.scratched}
            stable = await RegistryStore(conn).stable_of(call.user_id)
            if stable is None or stable not in starting:
                raise NotAParty("only the stables in the race sign")
            if race.status is not RaceStatus.CONFIRMED:
                raise WindowClosed(f"the race is {race.status}")
            signed = await ResultStore(conn).sign_conformity(
                race_id, race.result_version, stable, call.user_id, self._clock()
            )
            if None not in starting and starting <= signed:
                race = await self._finalise(conn, race, call.user_id, "every stable signed conformity")
                await cancel(conn, race_subject(race.id), OBJECTIONS)
            return show(race)

        return await once_in(self._pool, call, work)

    async def rule(
        self, call: Call, race_id: RaceId, ruled: Declaration, reason: str, show: Show[Race]
    ) -> Answer:
        """A third official decides a disputed race, with reasons. The result is final.

        Raises RaceNotFound, ResultInvalid, OfficialHasBet, OfficialConnected; RaceStateConflict and
        ResultAlreadyDeclared (the official is a party) are stored answers.
        """

        async def work(conn: Connection) -> Answer:
            race = await ProgrammeStore(conn).race_for_update(race_id)
            if race.status is not RaceStatus.DISPUTED:
                raise RaceStateConflict(f"the race is {race.status}; a ruling ends a dispute")
            if call.user_id in await ResultStore(conn).declarations(race_id):
                raise ResultAlreadyDeclared("a third, different official rules")
            race = replace(
                race,
                result_version=race.result_version + 1,
                objection_until=race.objection_until or self._clock(),
            )
            await ResultStore(conn).add_result(
                race_id, race.result_version, complete(race, ruled), Source.RULED, [call.user_id],
                reason=reason, now=self._clock(),
            )  # fmt: skip
            await RegistryStore(conn).appoint(race.event_id, call.user_id, call.user_id)
            return show(await self._finalise(conn, race, call.user_id, f"ruled: {reason}"[:500]))

        return await once_in(self._pool, call, work)

    async def correct(
        self, call: Call, race_id: RaceId, right: Declaration, reason: str, show: Show[Race]
    ) -> Answer:
        """Sign a correction of an official error. With the second signature under the same it counts.

        Raises RaceNotFound, ResultInvalid, OfficialHasBet, OfficialConnected; RaceStateConflict and AlreadySigned are
        stored answers.
        """

        async def work(conn: Connection) -> Answer:
            store, results, now = ProgrammeStore(conn), ResultStore(conn), self._clock()
            race = await store.race_for_update(race_id)
            if race.status is not RaceStatus.FINAL:
                raise RaceStateConflict(f"the race is {race.status}; only a final result is corrected")
            seen = complete(race, right)
            signed = await results.sign_correction(
                race_id, race.result_version, call.user_id, seen, reason, now
            )
            await RegistryStore(conn).appoint(race.event_id, call.user_id, call.user_id)
            if len(signed) < 2:
                return show(race)
            race = replace(race, result_version=race.result_version + 1)
            await results.add_result(
                race_id, race.result_version, seen, Source.CORRECTED, signed[:2], reason=reason, now=now
            )
            await self._tell_final(conn, race, call.user_id, f"official error: {reason}"[:500])
            return show(race)

        return await once_in(self._pool, call, work)

    def window(self) -> Handler:
        """What the deadline of a race does: nobody objected, so the result is final."""

        async def lock(conn: Connection, deadline: Deadline) -> None:
            await ProgrammeStore(conn).race_for_update(_race_of(deadline))

        async def effect(conn: Connection, deadline: Deadline) -> None:
            race = await ProgrammeStore(conn).race_for_update(_race_of(deadline))
            if race.status is RaceStatus.CONFIRMED:
                await self._finalise(conn, race, None, "nobody objected in time")

        return Handler(lock, effect)

    async def _confirm(
        self, conn: Connection, call: Call, race: Race, seen: Declaration, officials: tuple[UserId, ...]
    ) -> Race:
        store, now = ProgrammeStore(conn), self._clock()
        event = await store.event_for_update(race.event_id)
        until = now + timedelta(seconds=event.objection_seconds)
        race = replace(race, result_version=1, objection_until=until)
        await ResultStore(conn).add_result(
            race.id, 1, seen, Source.DECLARED, officials, reason="two officials saw the same", now=now
        )
        version = await store.save_races([race], actor=call.user_id, why="the declarations agree", told=1)
        told = wire.RaceConfirmed(
            race_id=race.id,
            winner=seen.winner,
            margin=seen.margin,
            off_time=seen.off_time,
            photo_sha256=seen.photo_sha256.hex(),
            officials=(officials[0], officials[1]),
            confirmed_at=now,
            objection_until=until,
        )
        await announce_all(conn, (announcement("races", race.id, version, told, now),))
        await arm(conn, race_subject(race.id), OBJECTIONS, until)
        return race

    async def _finalise(self, conn: Connection, race: Race, actor: UserId | None, why: str) -> Race:
        race = race.moved(RaceStatus.FINAL)
        await self._tell_final(conn, race, actor, why)
        return race

    async def _tell_final(self, conn: Connection, race: Race, actor: UserId | None, why: str) -> None:
        """Write a race that is final in this version of its result, and tell what counts now."""
        now = self._clock()
        version = await ProgrammeStore(conn).save_races([race], actor=actor, why=why, told=1)
        result = await ResultStore(conn).result(race.id, race.result_version)
        told = wire.RaceFinal(
            race_id=race.id,
            result_version=race.result_version,
            winner=result.declared.winner,
            margin=result.declared.margin,
            off_time=result.declared.off_time,
            places=result.declared.places,
            reason=why[:200],
            final_at=now,
        )
        await announce_all(conn, (announcement("races", race.id, version, told, now),))


def _race_of(deadline: Deadline) -> RaceId:
    return RaceId(UUID(deadline.subject.removeprefix("races/")))


def _disputed(race: RaceId, officials: tuple[UserId, ...], why: str, now: datetime) -> wire.RaceDisputed:
    first, second = officials
    return wire.RaceDisputed(race_id=race, officials=(first, second), reason=why[:200], disputed_at=now)
