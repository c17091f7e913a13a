"""Registering what stands behind the programme: carriles, permits, stables, appointments."""

from dataclasses import dataclass
from datetime import date
from uuid import uuid4

from common.idempotency import Answer
from common.pg import Connection, Pool, transaction

from betting.domain.events import Permit
from betting.domain.ids import EventId, StableId, UserId
from betting.domain.margins import Margin
from betting.service.barring import end_forbidden
from betting.service.calls import Call, Clock, NewId, Show, now_utc, once_in
from betting.store.exchange import ExchangeStore
from betting.store.programme import ProgrammeStore
from betting.store.registry import Carril, RegistryStore, Stable


@dataclass(frozen=True, slots=True)
class WantedCarril:
    name: str
    state: str
    length_m: int
    margins: tuple[Margin, ...]


@dataclass(frozen=True, slots=True)
class WantedPermit:
    number: str
    venue: str
    issuer: str
    valid_from: date
    valid_to: date


class Registry:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc, new_id: NewId = uuid4) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id

    async def carriles(self) -> list[Carril]:
        async with transaction(self._pool, readonly=True) as conn:
            return await RegistryStore(conn).carriles()

    async def add_carril(self, call: Call, wanted: WantedCarril, show: Show[Carril]) -> Answer:
        """Register a track. CarrilExists is a stored answer."""

        async def work(conn: Connection) -> Answer:
            carril = Carril(self._new_id(), wanted.name, wanted.state, wanted.length_m, wanted.margins)
            await RegistryStore(conn).add_carril(carril, call.user_id)
            return show(carril)

        return await once_in(self._pool, call, work)

    async def add_permit(self, call: Call, wanted: WantedPermit, show: Show[Permit]) -> Answer:
        """Register a permit. PermitExists is a stored answer."""

        async def work(conn: Connection) -> Answer:
            permit = Permit(
                self._new_id(), wanted.number, wanted.venue, wanted.issuer, wanted.valid_from, wanted.valid_to,
                call.user_id,
            )  # fmt: skip
            await RegistryStore(conn).add_permit(permit)
            return show(permit)

        return await once_in(self._pool, call, work)

    async def add_stable(self, call: Call, name: str, show: Show[Stable]) -> Answer:
        """Register a stable. StableExists is a stored answer."""

        async def work(conn: Connection) -> Answer:
            stable = Stable(StableId(self._new_id()), name)
            await RegistryStore(conn).add_stable(stable, call.user_id)
            return show(stable)

        return await once_in(self._pool, call, work)

    async def add_member(
        self, call: Call, stable_id: StableId, user: UserId, part: str, show: Show[Stable]
    ) -> Answer:
        """Say that somebody belongs to a stable. Their resting offers end: those of before were not the stable's.

        Raises StableNotFound; MemberOfStable is a stored answer.
        """

        async def work(conn: Connection) -> Answer:
            store = RegistryStore(conn)
            stable = await store.stable(stable_id)
            await store.add_member(stable_id, user, part, call.user_id)
            await self._end_forbidden(conn, user)
            return show(stable)

        return await once_in(self._pool, call, work)

    async def appoint(self, call: Call, event_id: EventId, official: UserId, show: Show[UserId]) -> Answer:
        """Appoint an official to an event: no betting there from now on, and what rests there ends. Raises EventNotFound."""

        async def work(conn: Connection) -> Answer:
            await ProgrammeStore(conn).event_for_update(event_id)
            await RegistryStore(conn).appoint(event_id, official, call.user_id)
            await self._end_forbidden(conn, official)
            return show(official)

        return await once_in(self._pool, call, work)

    async def _end_forbidden(self, conn: Connection, user: UserId) -> None:
        """In every market with an offer of this person's. Nobody writes another one down before this transaction ends:
        the database has them wait."""
        store = ExchangeStore(conn)
        markets = await store.markets_for_update(await store.markets_with_offers_of(user))
        await end_forbidden(conn, markets, self._clock())
