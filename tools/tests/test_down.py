"""Every migration's way down puts back the rules that its way up replaced.

Nobody goes down in production: rolling back there means running the previous image on a schema that only grew
(docs/adr/0076). Whoever develops a migration goes down and up all day, though, and a step down that forgets a function
leaves a database whose rules are nobody's.
"""

from __future__ import annotations

import re
from difflib import unified_diff
from pathlib import Path

import asyncpg
import pytest
from common.testing import fresh_database

from tools.stack.layout import ROOT
from tools.stack.postgres import SERVICES, programs
from tools.stack.running import DBMATE, output
from tools.stack.schema import normalised

KEYS = ("badge_key",)
"""Tables of keys: whoever runs the database fills them, no migration does."""


@pytest.mark.drill
@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", SERVICES)
async def test_down_undoes_up(service: str, tmp_path: Path) -> None:
    """Down step by step to nothing, then up again: at every step the same functions and triggers, and the same rows."""
    names = sorted(path.name for path in (ROOT / "services" / service / "migrations").iterdir())
    async with fresh_database(service) as database:
        dsn = database.dsn(f"{service}_migrator")

        async def dbmate(act: str, folder: Path) -> None:
            await output(
                DBMATE, "--no-dump-schema", "--migrations-dir", folder, act,
                environment={"DATABASE_URL": f"{dsn}?sslmode=disable"},
            )  # fmt: skip

        async def rules() -> list[str]:
            dumped = normalised(await output(programs() / "pg_dump", "--schema-only", "--no-owner", dsn))
            return [*_rules(dumped), *await _rows(dsn)]

        here = ROOT / "services" / service / "migrations"
        going_down: dict[str, list[str]] = {}
        for name in reversed(names):
            going_down[name] = await rules()
            await dbmate("rollback", here)
        wrong: list[str] = []
        for name in names:
            (tmp_path / name).write_bytes((here / name).read_bytes())
            await dbmate("up", tmp_path)
            wrong += unified_diff(
                await rules(), going_down[name], f"{name}: up", "back down to it", "", "", 0, ""
            )
    assert not wrong, "\n".join(wrong)


def _rules(schema: str) -> list[str]:
    """Its functions and triggers. Tables are not compared: going back need not restore the order of columns, and a
    CHECK that was widened stays wide."""
    return sorted(
        each for each in re.split(r"\n\n+(?=[A-Z])", schema) if re.match(r"CREATE (FUNCTION|.*TRIGGER)", each)
    )


async def _rows(dsn: str) -> list[str]:
    """The rules that are rows: the chart, which state may follow which, who may what. Nobody has used the database, so
    every row in it is a migration's, but for the keys that a stack puts in (`KEYS`). Moments are when the migration ran,
    and say nothing."""
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            """
            SELECT c.relname, coalesce(array_agg(a.attname) FILTER (WHERE a.atttypid = 'timestamptz'::regtype), '{}')
              FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> ALL ($1)
             GROUP BY c.relname
            """,
            ("schema_migrations", *KEYS),
        )
        return sorted(
            [
                f"{table}: {row}"
                for table, moments in tables
                for (row,) in await connection.fetch(
                    f"SELECT (to_jsonb(each) - $1::text[])::text FROM {table} each", moments
                )
            ]
        )
    finally:
        await connection.close()
