"""Declarations, results, objections, conformities and corrections. Nothing here is ever changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from common.pg import Connection, translate

from betting.domain.errors import AlreadySigned, OfficialConnected, OfficialHasBet, ResultAlreadyDeclared
from betting.domain.ids import RaceId, RunnerId, StableId, UserId
from betting.domain.margins import Margin
from betting.domain.results import Declaration
from betting.store.rows import Row

_IMPARTIAL = {
    "declaration_is_impartial": lambda: OfficialHasBet("you have an offer in this event"),
    "official_has_no_horse": lambda: OfficialConnected("your stable has a horse in this event"),
}


class Source(StrEnum):
    DECLARED = "DECLARED"  # two officials saw the same
    RULED = "RULED"  # a third one decided a dispute
    CORRECTED = "CORRECTED"  # two officials corrected an official error


@dataclass(frozen=True, slots=True)
class Result:
    """What counts, in one version."""

    version: int
    declared: Declaration
    source: Source
    signed_by: tuple[UserId, ...]
    reason: str
    decided_at: datetime


def declaration_of(row: Row) -> Declaration:
    return Declaration(
        winner=None if row["winner"] is None else RunnerId(row["winner"]),
        margin=None if row["margin"] is None else Margin(row["margin"]),
        off_time=row["off_time"],
        photo_sha256=row["photo_sha256"],
        places=tuple(tuple(RunnerId(UUID(id)) for id in group) for group in json.loads(row["places"])),
    )


def result_of(row: Row) -> Result:
    return Result(
        row["version"],
        declaration_of(row),
        Source(row["source"]),
        tuple(UserId(id) for id in row["signed_by"]),
        row["reason"],
        row["decided_at"],
    )


def _places(declared: Declaration) -> str:
    return json.dumps([[str(runner) for runner in group] for group in declared.places])


class ResultStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def check_impartial(self, race_id: RaceId, official: UserId) -> None:
        """Whether somebody may decide about a race. Raises OfficialHasBet, OfficialConnected."""
        with translate(_IMPARTIAL):
            await self._conn.execute("SELECT check_impartial($1, $2)", race_id, official)

    async def declarations(self, race_id: RaceId) -> Mapping[UserId, Declaration]:
        """In the order they were made."""
        rows = await self._conn.fetch(
            "SELECT * FROM declaration WHERE race_id = $1 ORDER BY ordinal", race_id
        )
        return {UserId(row["official_id"]): declaration_of(row) for row in rows}

    async def add_declaration(
        self, race_id: RaceId, official: UserId, declared: Declaration, *, ordinal: int, now: datetime
    ) -> None:
        """Raises OfficialHasBet, OfficialConnected, ResultAlreadyDeclared."""
        again = {
            "declaration_officials_differ": lambda: ResultAlreadyDeclared(
                "a different official declares as well"
            ),
        }
        with translate({**_IMPARTIAL, **again}):
            await self._conn.execute(
                """
                INSERT INTO declaration
                    (race_id, official_id, ordinal, winner, margin, off_time, photo_sha256, places, declared_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                race_id, official, ordinal, declared.winner, declared.margin, declared.off_time,
                declared.photo_sha256, _places(declared), now,
            )  # fmt: skip

    async def add_result(
        self,
        race_id: RaceId,
        version: int,
        declared: Declaration,
        source: Source,
        signed_by: Sequence[UserId],
        *,
        reason: str,
        now: datetime,
    ) -> None:
        """Raises OfficialHasBet, OfficialConnected."""
        again = {"ruling_by_a_third": lambda: ResultAlreadyDeclared("a third official rules, not a party")}
        with translate({**_IMPARTIAL, **again}):
            await self._conn.execute(
                """
                INSERT INTO result (race_id, version, winner, margin, off_time, photo_sha256, places, source, signed_by,
                    reason, decided_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                """,
                race_id, version, declared.winner, declared.margin, declared.off_time, declared.photo_sha256,
                _places(declared), source, list(signed_by), reason, now,
            )  # fmt: skip

    async def result(self, race_id: RaceId, version: int) -> Result:
        row = await self._conn.fetchrow(
            "SELECT * FROM result WHERE race_id = $1 AND version = $2", race_id, version
        )
        if row is None:
            raise AssertionError(f"race {race_id} has no result {version}")
        return result_of(row)

    async def add_objection(
        self, id: UUID, race_id: RaceId, version: int, by: UserId, reason: str, now: datetime
    ) -> None:
        await self._conn.execute(
            """
            INSERT INTO objection (id, race_id, result_version, raised_by, reason, raised_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            """,
            id, race_id, version, by, reason, now,
        )  # fmt: skip

    async def sign_conformity(
        self, race_id: RaceId, version: int, stable: StableId, by: UserId, now: datetime
    ) -> frozenset[StableId]:
        """The stables that have signed by now. Raises AlreadySigned."""
        again = {"conformity_is_signed_once": lambda: AlreadySigned("your stable has signed")}
        with translate(again):
            await self._conn.execute(
                """
                INSERT INTO conformity (race_id, result_version, stable_id, signed_by, signed_at)
                VALUES ($1, $2, $3, $4, $5)
                """,
                race_id, version, stable, by, now,
            )  # fmt: skip
        rows = await self._conn.fetch(
            "SELECT stable_id FROM conformity WHERE race_id = $1 AND result_version = $2", race_id, version
        )
        return frozenset(StableId(row["stable_id"]) for row in rows)

    async def sign_correction(
        self,
        race_id: RaceId,
        corrects: int,
        official: UserId,
        declared: Declaration,
        reason: str,
        now: datetime,
    ) -> list[UserId]:
        """Who has signed exactly this, the first first. Raises AlreadySigned, OfficialHasBet, OfficialConnected."""
        again = {"correction_is_signed_once": lambda: AlreadySigned("another official signs as well")}
        with translate({**_IMPARTIAL, **again}):
            await self._conn.execute(
                """
                INSERT INTO correction (race_id, corrects, official_id, winner, margin, off_time, photo_sha256, places,
                    reason, signed_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """,
                race_id, corrects, official, declared.winner, declared.margin, declared.off_time,
                declared.photo_sha256, _places(declared), reason, now,
            )  # fmt: skip
        rows = await self._conn.fetch(
            "SELECT * FROM correction WHERE race_id = $1 AND corrects = $2 ORDER BY signed_at",
            race_id,
            corrects,
        )
        return [UserId(row["official_id"]) for row in rows if declaration_of(row) == declared]
