"""Commands of `python -m ledger` inside the tests' own process: starting another Python takes longer than most of them.

Those whose point is that several processes run at once, or that one dies, start real ones (`test_closes.py`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from common.testing import Database
from ledger.cli import main


@dataclass(frozen=True)
class Operator:
    """Somebody at a terminal."""

    environment: pytest.MonkeyPatch
    terminal: pytest.CaptureFixture[str]

    async def run(self, database: Database, role: str, *arguments: str) -> tuple[int, str, str]:
        """The exit status, the results, and the complaints."""
        self.environment.setenv("DATABASE_DSN", database.dsn(role))
        status = await asyncio.to_thread(main, arguments)
        told = self.terminal.readouterr()
        return status, told.out, told.err


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(monkeypatch, capsys)
