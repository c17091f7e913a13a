"""Files that are read again when they change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from common.watched import WatchedFile


def number(text: str) -> int:
    return int(text)


def write(file: Path, text: str, at: int) -> None:
    file.write_text(text, encoding="utf-8")
    os.utime(file, ns=(at, at))


def test_a_change_is_seen_at_the_next_look(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write(file, "1", at=1)
    watched = WatchedFile(file, number, look_every_seconds=0)
    assert watched.current == 1
    write(file, "2", at=2)
    assert watched.current == 2


def test_a_file_put_in_its_place_within_the_same_tick_is_seen(tmp_path: Path) -> None:
    file, other = tmp_path / "key", tmp_path / "other"
    write(file, "1", at=1)
    watched = WatchedFile(file, number, look_every_seconds=0)
    write(other, "2", at=1)
    other.replace(file)
    assert watched.current == 2


def test_between_two_looks_nothing_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write(file, "1", at=1)
    watched = WatchedFile(file, number, look_every_seconds=3600)
    write(file, "2", at=2)
    assert watched.current == 1


def test_what_is_no_good_changes_nothing_until_it_is_good_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write(file, "1", at=1)
    watched = WatchedFile(file, number, look_every_seconds=0)
    write(file, "half written", at=2)
    assert watched.current == 1
    file.unlink()
    assert watched.current == 1
    write(file, "3", at=3)
    assert watched.current == 3


def test_nobody_begins_with_a_file_that_is_no_good(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WatchedFile(tmp_path / "nothing", number)
    write(tmp_path / "key", "x", at=1)
    with pytest.raises(ValueError, match="invalid literal"):
        WatchedFile(tmp_path / "key", number)
