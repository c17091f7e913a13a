"""Events, races, runners and declarations."""

from collections.abc import Mapping
from datetime import datetime

from common.pg import Connection, translate

from betting.domain.errors import (
    EventNotFound,
    OfficialHasBet,
    RaceNotFound,
    RaceNumberTaken,
    ResultAlreadyDeclared,
)
from betting.domain.ids import EventId, MarketId, RaceId, RunnerId, UserId
from betting.domain.races import Declaration, Event, Margin, Race, RaceStatus, Runner
from betting.store.rows import EVENT_COLUMNS, Row, event_of

RACE_COLUMNS = """
    r.id, r.event_id, r.number, r.distance_m, r.starts_at, r.status,
    array(SELECT id FROM runner WHERE race_id = r.id ORDER BY position) AS runner_ids,
    array(SELECT horse FROM runner WHERE race_id = r.id ORDER BY position) AS horses
"""


def race_of(row: Row) -> Race:
    first, second = (
        Runner(RunnerId(runner), horse)
        for runner, horse in zip(row["runner_ids"], row["horses"], strict=True)
    )
    return Race(
        id=RaceId(row["id"]),
        event_id=EventId(row["event_id"]),
        number=row["number"],
        distance_m=row["distance_m"],
        starts_at=row["starts_at"],
        runners=(first, second),
        status=RaceStatus(row["status"]),
    )


def declaration_of(row: Row) -> Declaration:
    return Declaration(
        winner=None if row["winner"] is None else RunnerId(row["winner"]),
        margin=None if row["margin"] is None else Margin(row["margin"]),
        off_time=row["off_time"],
        photo_sha256=row["photo_sha256"],
    )


class ProgrammeStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def add_event(self, event: Event, created_by: UserId) -> None:
        await self._conn.execute(
            """
            INSERT INTO event (id, name, venue, permit, starts_at, status, created_by)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            event.id, event.name, event.venue, event.permit, event.starts_at, event.status, created_by,
        )  # fmt: skip

    async def event_for_update(self, event_id: EventId) -> Event:
        """Raises EventNotFound."""
        row = await self._conn.fetchrow(
            f"SELECT {EVENT_COLUMNS} FROM event WHERE id = $1 FOR NO KEY UPDATE", event_id
        )
        if row is None:
            raise EventNotFound("no such event")
        return event_of(row)

    async def save_event(self, event: Event) -> int:
        """The event's new version."""
        version: int = await self._conn.fetchval(
            "UPDATE event SET status = $2, sequence = sequence + 1 WHERE id = $1 RETURNING sequence",
            event.id,
            event.status,
        )
        return version

    async def add_race(self, race: Race, created_by: UserId) -> int:
        """The race's first version. Raises RaceNumberTaken."""
        with translate(
            {"race_number_is_unique": lambda: RaceNumberTaken("take another number", field="number")}
        ):
            await self._conn.execute(
                """
                INSERT INTO race (id, event_id, number, distance_m, starts_at, status, sequence, created_by)
                VALUES ($1, $2, $3, $4, $5, $6, 1, $7)
                """,
                race.id, race.event_id, race.number, race.distance_m, race.starts_at, race.status, created_by,
            )  # fmt: skip
        await self._conn.execute(
            """
            INSERT INTO runner (id, race_id, position, horse)
            SELECT id, $1, position, horse FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS r (id, horse, position)
            """,
            race.id,
            [runner.id for runner in race.runners],
            [runner.horse for runner in race.runners],
        )
        return 1

    async def race_for_update(self, race_id: RaceId) -> Race:
        """Raises RaceNotFound. A race is locked before its market, always."""
        row = await self._conn.fetchrow(
            f"SELECT {RACE_COLUMNS} FROM race r WHERE r.id = $1 FOR NO KEY UPDATE OF r", race_id
        )
        if row is None:
            raise RaceNotFound("no such race")
        return race_of(row)

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

    async def save_race(self, race: Race, *, scratch_reason: str | None = None, told: bool = True) -> int:
        """The race's version, a new one if an event will tell of the change."""
        version: int = await self._conn.fetchval(
            """
            UPDATE race SET status = $2, scratch_reason = $3, sequence = sequence + $4::boolean::integer
            WHERE id = $1 RETURNING sequence
            """,
            race.id,
            race.status,
            scratch_reason,
            told,
        )
        return version

    async def declarations(self, race_id: RaceId) -> Mapping[UserId, Declaration]:
        """In the order they were made."""
        rows = await self._conn.fetch(
            """
            SELECT official_id, winner, margin, off_time, photo_sha256
            FROM declaration WHERE race_id = $1 ORDER BY ordinal
            """,
            race_id,
        )
        return {UserId(row["official_id"]): declaration_of(row) for row in rows}

    async def add_declaration(
        self, race_id: RaceId, official: UserId, declared: Declaration, *, ordinal: int, now: datetime
    ) -> None:
        """Raises OfficialHasBet, ResultAlreadyDeclared."""
        refusals = {
            "declaration_is_impartial": lambda: OfficialHasBet("you have an offer in this event"),
            "declaration_officials_differ": lambda: ResultAlreadyDeclared(
                "a different official declares as well"
            ),
        }
        with translate(refusals):
            await self._conn.execute(
                """
                INSERT INTO declaration
                    (race_id, official_id, ordinal, winner, margin, off_time, photo_sha256, declared_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                race_id, official, ordinal, declared.winner, declared.margin, declared.off_time,
                declared.photo_sha256, now,
            )  # fmt: skip
