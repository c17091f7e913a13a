"""Files that are read again when they change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from common.watched import WatchedFile
from prometheus_client import REGISTRY


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


def told(file: Path) -> float | None:
    return REGISTRY.get_sample_value("watched_file_good", {"file": file.name})


def test_a_file_that_is_no_good_is_told_though_nobody_needs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "watched-key"
    write(file, "1", at=1)
    watched = WatchedFile(file, number)
    assert told(file) == 1
    write(file, "half written", at=2)
    assert [told(file), told(file)] == [0, 0]
    file.unlink()
    assert told(file) == 0
    assert len(caplog.records) == 1, "said when it begins, and not at every look"
    write(file, "1", at=1)
    assert told(file) == 1
    assert watched.current == 1


def test_nobody_begins_with_a_file_that_is_no_good(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WatchedFile(tmp_path / "nothing", number)
    write(tmp_path / "key", "x", at=1)
    with pytest.raises(ValueError, match="invalid literal"):
        WatchedFile(tmp_path / "key", number)
