"""Every migration's way down puts back the rules that its way up replaced.

Nobody goes down in production: rolling back there means running the previous image on a schema that only grew
(docs/adr/0076). Whoever develops a migration goes down and up all day, though, and a step down that forgets a function
leaves a database whose rules are nobody's.
"""

from __future__ import annotations

import re
from difflib import unified_diff
from pathlib import Path

import pytest
from common.testing import fresh_database

from tools.stack.layout import ROOT
from tools.stack.postgres import programs
from tools.stack.running import DBMATE, output
from tools.stack.schema import normalised


@pytest.mark.drill
@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", ["ledger"])
async def test_down_undoes_up(service: str, tmp_path: Path) -> None:
    """Down step by step to nothing, then up again: at every step the same functions and triggers."""
    names = sorted(path.name for path in (ROOT / "services" / service / "migrations").iterdir())
    async with fresh_database(service) as database:
        dsn = database.dsn(f"{service}_migrator")

        async def dbmate(act: str, folder: Path) -> None:
            await output(
                DBMATE, "--no-dump-schema", "--migrations-dir", folder, act,
                environment={"DATABASE_URL": f"{dsn}?sslmode=disable"},
            )  # fmt: skip

        async def schema() -> str:
            return normalised(await output(programs() / "pg_dump", "--schema-only", "--no-owner", dsn))

        here = ROOT / "services" / service / "migrations"
        going_down: dict[str, str] = {}
        for name in reversed(names):
            going_down[name] = await schema()
            await dbmate("rollback", here)
        wrong: list[str] = []
        for name in names:
            (tmp_path / name).write_bytes((here / name).read_bytes())
            await dbmate("up", tmp_path)
            wrong += unified_diff(
                _rules(await schema()),
                _rules(going_down[name]),
                f"{name}: up",
                "back down to it",
                "",
                "",
                0,
                "",
            )
    assert not wrong, "\n".join(wrong)


def _rules(schema: str) -> list[str]:
    """Its functions and triggers. Tables are not compared: going back need not restore the order of columns, and a
    CHECK that was widened stays wide."""
    return sorted(
        each for each in re.split(r"\n\n+(?=[A-Z])", schema) if re.match(r"CREATE (FUNCTION|.*TRIGGER)", each)
    )
