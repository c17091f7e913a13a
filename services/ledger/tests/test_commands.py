"""What every operator's command does before it does anything: its settings are there, or it says which is not."""

from __future__ import annotations

import pytest
from ledger.cli import main

COMMANDS = (
    ("close",),
    ("rebuild", "--check"),
    ("verify",),
    ("trial-balance",),
    ("export", "entries", "--out", "/dev/null/nowhere"),
    ("journal", "export", "--out", "/dev/null/nowhere"),
    ("seals", "list"),
    ("keys", "list"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_missing_setting_is_named(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_DSN", raising=False)
    assert main(command) == 1
    assert "DATABASE_DSN: Field required" in capsys.readouterr().err
