"""What stands behind the programme: carriles, permits, stables and their people, appointments."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from common.pg import Connection, translate

from betting.domain.errors import (
    CarrilExists,
    CarrilNotFound,
    MemberOfStable,
    PermitExists,
    StableExists,
    StableNotFound,
)
from betting.domain.events import Permit
from betting.domain.ids import EventId, StableId, UserId
from betting.domain.margins import Margin


@dataclass(frozen=True, slots=True)
class Carril:
    """A straight track. `margins` are the words its judges use, from the least on."""

    id: UUID
    name: str
    state: str
    length_m: int
    margins: tuple[Margin, ...]


@dataclass(frozen=True, slots=True)
class Stable:
    id: StableId
    name: str


class RegistryStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def add_carril(self, carril: Carril, by: UserId) -> None:
        """Raises CarrilExists."""
        with translate({"carril_name_is_unique": lambda: CarrilExists("take another name", field="name")}):
            await self._conn.execute(
                "INSERT INTO carril (id, name, state, length_m, margins, registered_by) VALUES ($1, $2, $3, $4, $5, $6)",
                carril.id, carril.name, carril.state, carril.length_m, list(carril.margins), by,
            )  # fmt: skip

    async def carril(self, carril_id: UUID) -> Carril:
        """Raises CarrilNotFound."""
        row = await self._conn.fetchrow("SELECT * FROM carril WHERE id = $1", carril_id)
        if row is None:
            raise CarrilNotFound("no such carril", field="carril_id")
        margins = tuple(Margin(margin) for margin in row["margins"])
        return Carril(row["id"], row["name"], row["state"], row["length_m"], margins)

    async def carril_of_event(self, event_id: EventId) -> Carril | None:
        carril_id = await self._conn.fetchval("SELECT carril_id FROM event WHERE id = $1", event_id)
        return None if carril_id is None else await self.carril(carril_id)

    async def carriles(self) -> list[Carril]:
        rows = await self._conn.fetch("SELECT * FROM carril ORDER BY name LIMIT 1000")
        return [
            Carril(
                row["id"],
                row["name"],
                row["state"],
                row["length_m"],
                tuple(Margin(m) for m in row["margins"]),
            )
            for row in rows
        ]

    async def add_permit(self, permit: Permit) -> None:
        """Raises PermitExists."""
        with translate({"permit_is_unique": lambda: PermitExists("it is there already", field="number")}):
            await self._conn.execute(
                """
                INSERT INTO permit (id, number, venue, issuer, valid_from, valid_to, registered_by)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                """,
                permit.id, permit.number, permit.venue, permit.issuer, permit.valid_from, permit.valid_to,
                permit.registered_by,
            )  # fmt: skip

    async def permits(self, number: str, venue: str) -> list[Permit]:
        """Every permit of that number for that venue, whenever it is valid."""
        rows = await self._conn.fetch(
            """
            SELECT id, number, venue, issuer, valid_from, valid_to, registered_by FROM permit
            WHERE number = $1 AND venue = $2
            """,
            number,
            venue,
        )
        return [Permit(**dict(row)) for row in rows]

    async def add_stable(self, stable: Stable, by: UserId) -> None:
        """Raises StableExists."""
        with translate({"stable_name_is_unique": lambda: StableExists("take another name", field="name")}):
            await self._conn.execute(
                "INSERT INTO stable (id, name, registered_by) VALUES ($1, $2, $3)", stable.id, stable.name, by
            )

    async def stable(self, stable_id: StableId) -> Stable:
        """Raises StableNotFound."""
        row = await self._conn.fetchrow("SELECT id, name FROM stable WHERE id = $1", stable_id)
        if row is None:
            raise StableNotFound("no such stable", field="stable_id")
        return Stable(StableId(row["id"]), row["name"])

    async def stables_named(self, names: Collection[str]) -> dict[str, StableId]:
        """Those of the names that a stable has, in whatever case."""
        rows = await self._conn.fetch(
            "SELECT given, id FROM unnest($1::text[]) given JOIN stable ON lower(name) = lower(given)",
            list(names),
        )
        return {row["given"]: StableId(row["id"]) for row in rows}

    async def stable_of(self, user: UserId) -> StableId | None:
        stable_id: StableId | None = await self._conn.fetchval(
            "SELECT stable_id FROM stable_member WHERE user_id = $1", user
        )
        return stable_id

    async def add_member(self, stable_id: StableId, user: UserId, part: str, by: UserId) -> None:
        """Raises MemberOfStable."""
        refusals = {
            "stable_member_is_of_one": lambda: MemberOfStable("one person, one stable", field="user_id")
        }
        with translate(refusals):
            await self._conn.execute(
                "INSERT INTO stable_member (stable_id, user_id, part, added_by) VALUES ($1, $2, $3, $4)",
                stable_id, user, part, by,
            )  # fmt: skip

    async def appoint(self, event_id: EventId, official: UserId, by: UserId) -> None:
        """From now on this person does not bet at the event. Appointing twice changes nothing."""
        await self._conn.execute(
            """
            INSERT INTO appointment (event_id, official_id, appointed_by) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
            """,
            event_id,
            official,
            by,
        )
