"""The generated documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import contracts
from tools.docs import DOCS, documents


def test_a_release_publishes_in_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page about events calls published what the same release publishes."""
    monkeypatch.setattr(contracts, "FOLDER", tmp_path)
    before, after = documents(), documents(release=True)
    assert "not published yet" in before[DOCS / "events.md"]
    assert "not published yet" not in after[DOCS / "events.md"]
    assert not [path for path in before if path.parent == tmp_path]
    assert [path for path in after if path.parent == tmp_path]
