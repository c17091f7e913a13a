"""Results: two officials, each blind to what the other saw."""

from datetime import datetime

from common.idempotency import Answer
from common.outbox import announce_all
from common.pg import Connection, Pool
from contracts import betting as wire
from contracts.wire import Event

from betting.chronicle import announcement
from betting.domain.ids import RaceId, UserId
from betting.domain.races import Declaration, Race, RaceStatus, judge
from betting.service.calls import Call, Clock, Show, now_utc, once_in
from betting.store.programme import ProgrammeStore


class Officiating:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc) -> None:
        self._pool = pool
        self._clock = clock

    async def declare(self, call: Call, race_id: RaceId, declared: Declaration, show: Show[Race]) -> Answer:
        """Declare what an official saw. The second declaration makes the result final, or disputed.

        Raises RaceNotFound, ResultInvalid, OfficialHasBet; RaceStateConflict and ResultAlreadyDeclared are stored
        answers.
        """

        async def work(conn: Connection) -> Answer:
            store, now = ProgrammeStore(conn), self._clock()
            race = await store.race_for_update(race_id)
            earlier = await store.declarations(race_id)
            race = judge(race, call.user_id, declared, earlier)
            await store.add_declaration(race_id, call.user_id, declared, ordinal=len(earlier) + 1, now=now)
            version = await store.save_race(race)
            told = _event(race, declared, (*earlier, call.user_id), now)
            await announce_all(conn, (announcement("races", race.id, version, told, now),))
            return show(race)

        return await once_in(self._pool, call, work)


def _event(race: Race, declared: Declaration, officials: tuple[UserId, ...], now: datetime) -> Event:
    """What may be told: of a first declaration only that it was made."""
    if race.status is RaceStatus.DECLARED:
        return wire.RaceDeclared(race_id=race.id, official_id=officials[0], declared_at=now)
    first, second = officials
    if race.status is RaceStatus.DISPUTED:
        return wire.RaceDisputed(race_id=race.id, officials=(first, second), disputed_at=now)
    return wire.RaceConfirmed(
        race_id=race.id,
        winner=declared.winner,
        margin=declared.margin,
        off_time=declared.off_time,
        photo_sha256=declared.photo_sha256.hex(),
        officials=(first, second),
        confirmed_at=now,
    )
