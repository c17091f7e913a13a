"""A race day through the public door: the money path, end to end."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path

from tools.raceday.books import SERVICES


async def play(books: Path, *arguments: str) -> str:
    """Run the race-day driver as a person would; returns what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.raceday", "play", "--bettors", "12", "--offers", "132", "--seed", "77",
        "--books", str(books), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()[-4000:]
    return told.decode()


async def test_a_day_settles_to_the_cent_and_its_replay_changes_nothing(tmp_path: Path) -> None:
    """The second run repeats every act under its key: it gets the stored answers, and the books stay."""
    first, again = tmp_path / "first.json", tmp_path / "again.json"
    told = await play(first)
    assert "trial balance zero" in told
    books = json.loads(first.read_text())
    assert "the day touched: bank house markets players\n" in told
    assert all(balance == "0.00" for path, balance in books.items() if path.startswith("markets/race"))
    assert Decimal(books["house/commission"]) > 0
    await play(again)
    assert json.loads(again.read_text()) == books


def test_the_driver_checks_every_service() -> None:
    assert set(SERVICES) == {"ledger", "betting", "identity", "payments"}
