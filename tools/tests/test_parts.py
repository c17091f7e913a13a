"""`make test` runs every test there is, each in one of its parts."""

from __future__ import annotations

import re

from tools.stack.layout import ROOT


def test_every_test_file_is_in_exactly_one_part() -> None:
    recipes = re.findall(
        r"^test-\w+:.*\n\t(.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    parts = [recipe.partition("-m pytest")[2].split() for recipe in recipes]
    assert len(parts) == 3
    rooms = [room for room in ROOT.iterdir() if room.is_dir() and not room.name.startswith(".")]
    listed = [str(file.relative_to(ROOT)) for room in rooms for file in room.rglob("test_*.py")]
    assert listed
    for file in listed:
        where = [part for part in parts if any(file.startswith(f"{room}/") for room in part)]
        assert len(where) == 1, file
