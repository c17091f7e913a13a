"""Events, races and runners: the rows that move, locked before they do. A race before its event before its markets."""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.pg import Connection, translate

from betting.domain.errors import (
    EventNotFound,
    PermitMissing,
    RaceNotFound,
    RaceNumberTaken,
    StableNotFound,
)
from betting.domain.events import Event
from betting.domain.ids import EventId, MarketId, RaceId, RunnerId, StableId, UserId
from betting.domain.races import Race, RaceStatus, Runner
from betting.store.rows import EVENT_COLUMNS, Row, event_of

RACE_COLUMNS = """
    r.id, r.event_id, r.number, r.distance_m, r.starts_at, r.status, r.conditions, r.objection_until, r.result_version,
    (SELECT json_agg(json_build_array(id, horse, stable_id, carril, scratched_at IS NOT NULL) ORDER BY position)
       FROM runner WHERE race_id = r.id) AS runners
"""


def race_of(row: Row) -> Race:
    return Race(
        id=RaceId(row["id"]),
        event_id=EventId(row["event_id"]),
        number=row["number"],
        distance_m=row["distance_m"],
        starts_at=row["starts_at"],
        runners=tuple(
            Runner(
                id=RunnerId(UUID(id)),
                horse=horse,
                stable=None if stable is None else StableId(UUID(stable)),
                carril=carril,
                scratched=scratched,
            )
            for id, horse, stable, carril, scratched in json.loads(row["runners"])
        ),
        status=RaceStatus(row["status"]),
        conditions=row["conditions"],
        objection_until=row["objection_until"],
        result_version=row["result_version"],
    )


class ProgrammeStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    # -- events

    async def add_event(self, event: Event, created_by: UserId, carril: UUID | None) -> None:
        await self._conn.execute(
            """
            INSERT INTO event (id, name, venue, state, permit, starts_at, day, objection_seconds, status, carril_id,
                created_by, moved_by, day_ends_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12)
            """,
            event.id, event.name, event.venue, event.state, event.permit, event.starts_at, event.day,
            event.objection_seconds, event.status, carril, created_by, event.day_ends_at,
        )  # fmt: skip

    async def event_for_update(self, event_id: EventId) -> Event:
        """Raises EventNotFound."""
        row = await self._conn.fetchrow(
            f"SELECT {EVENT_COLUMNS} FROM event WHERE id = $1 FOR NO KEY UPDATE", event_id
        )
        if row is None:
            raise EventNotFound("no such event")
        return event_of(row)

    async def save_event(self, event: Event, *, actor: UserId, why: str) -> int:
        """The event's new version. Raises PermitMissing if it may not be published."""
        refusals = {
            "event_has_a_permit": lambda: PermitMissing("no permit covers this venue and day", field="permit")
        }
        with translate(refusals):
            version: int = await self._conn.fetchval(
                """
                UPDATE event SET status = $2, sequence = sequence + 1, moved_by = $3, moved_why = $4
                WHERE id = $1 RETURNING sequence
                """,
                event.id,
                event.status,
                actor,
                why,
            )
        return version

    # -- races

    async def add_race(self, race: Race, created_by: UserId) -> int:
        """The race's first version. Raises RaceNumberTaken, StableNotFound."""
        with translate(
            {"race_number_is_unique": lambda: RaceNumberTaken("take another number", field="number")}
        ):
            await self._conn.execute(
                """
                INSERT INTO race (id, event_id, number, distance_m, starts_at, status, conditions, sequence, created_by,
                    moved_by)
                VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)
                """,
                race.id, race.event_id, race.number, race.distance_m, race.starts_at, race.status,
                race.conditions, created_by,
            )  # fmt: skip
        with translate({"runner_stable_id_fkey": lambda: StableNotFound("no such stable", field="stables")}):
            await self._conn.execute(
                """
                INSERT INTO runner (id, race_id, position, horse, stable_id, carril)
                SELECT id, $1, position, horse, stable, carril
                  FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::smallint[]) WITH ORDINALITY
                       AS r (id, horse, stable, carril, position)
                """,
                race.id,
                [runner.id for runner in race.runners],
                [runner.horse for runner in race.runners],
                [runner.stable for runner in race.runners],
                [runner.carril for runner in race.runners],
            )
        return 1

    async def race_for_update(self, race_id: RaceId) -> Race:
        """Raises RaceNotFound. A race is locked before its markets, always."""
        row = await self._conn.fetchrow(
            f"SELECT {RACE_COLUMNS} FROM race r WHERE r.id = $1 FOR NO KEY UPDATE OF r", race_id
        )
        if row is None:
            raise RaceNotFound("no such race")
        return race_of(row)

    async def races_of_event_for_update(self, event_id: EventId) -> list[Race]:
        """All of them, locked in the order of their ids."""
        rows = await self._conn.fetch(
            f"SELECT {RACE_COLUMNS} FROM race r WHERE r.event_id = $1 ORDER BY r.id FOR NO KEY UPDATE OF r",
            event_id,
        )
        return [race_of(row) for row in rows]

    async def race_numbers(self, event_id: EventId) -> set[int]:
        """Those that the event's races have."""
        rows = await self._conn.fetch("SELECT number FROM race WHERE event_id = $1", event_id)
        return {row["number"] for row in rows}

    async def race(self, race_id: RaceId) -> Race:
        """As it is now. Raises RaceNotFound."""
        row = await self._conn.fetchrow(f"SELECT {RACE_COLUMNS} FROM race r WHERE r.id = $1", race_id)
        if row is None:
            raise RaceNotFound("no such race")
        return race_of(row)

    async def race_of_market(self, market_id: MarketId) -> RaceId | None:
        race_id: RaceId | None = await self._conn.fetchval(
            "SELECT race_id FROM market WHERE id = $1", market_id
        )
        return race_id

    async def save_races(
        self,
        states: Sequence[Race],
        *,
        actor: UserId | None,
        why: str,
        told: int,
        off_at: datetime | None = None,
    ) -> int:
        """Write the states a race passes, each as a move of its own; `told` events will tell of them.

        The race's version after them.
        """
        version = 0
        for at, race in enumerate(states):
            version = await self._conn.fetchval(
                """
                UPDATE race SET status = $2, sequence = sequence + $3, moved_by = $4, moved_why = $5, starts_at = $6,
                       scratch_reason = CASE WHEN $2 = 'NO_CORRE' THEN $5 END, objection_until = $7,
                       result_version = $8, off_at = coalesce(off_at, $9)
                WHERE id = $1 RETURNING sequence
                """,
                race.id,
                race.status,
                told if at == len(states) - 1 else 0,
                actor,
                why,
                race.starts_at,
                race.objection_until,
                race.result_version,
                off_at,
            )
        return version

    async def scratch_runner(self, runner: RunnerId, why: str, now: datetime) -> None:
        await self._conn.execute(
            "UPDATE runner SET scratched_at = $2, scratch_reason = $3 WHERE id = $1", runner, now, why
        )

    async def set_stable(self, runner: RunnerId, stable: StableId) -> None:
        await self._conn.execute("UPDATE runner SET stable_id = $2 WHERE id = $1", runner, stable)
