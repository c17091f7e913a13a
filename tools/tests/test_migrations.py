"""The migration lint finds what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.migrations import problems

SOUND = "-- migrate:up\nCREATE TABLE bet (id uuid PRIMARY KEY);\n\n-- migrate:down\nDROP TABLE bet;\n"


def found(folder: Path, text: str, name: str = "20261121000100_bets.sql") -> str:
    (folder / name).write_text(text)
    return "\n".join(problems(folder))


def test_a_sound_migration_passes(tmp_path: Path) -> None:
    assert found(tmp_path, SOUND) == ""


@pytest.mark.parametrize("name", ["1_bets.sql", "20261121000100-bets.sql", "20261121000100_Bets.sql"])
def test_a_name_out_of_order_is_found(tmp_path: Path, name: str) -> None:
    assert "not named" in found(tmp_path, SOUND, name)


def test_a_version_taken_twice_is_found(tmp_path: Path) -> None:
    (tmp_path / "20261121000100_other.sql").write_text(SOUND)
    assert "is taken" in found(tmp_path, SOUND)


def test_a_migration_without_a_way_back_is_found(tmp_path: Path) -> None:
    assert "no way down" in found(tmp_path, SOUND.partition("-- migrate:down")[0])


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("DROP TABLE bet;", "ban-drop-table"),
        ("ALTER TABLE bet DROP COLUMN stake;", "ban-drop-column"),
        ("ALTER TABLE bet RENAME COLUMN stake TO wager;", "renaming-column"),
        ("ALTER TABLE bet ALTER COLUMN stake TYPE text;", "changing-column-type"),
        ("ALTER TABLE bet ADD COLUMN odds text NOT NULL;", "adding-required-field"),
        ("CREATE INDEX bet_by_stake ON bet (stake);", "require-concurrent-index-creation"),
        ("ALTER TABLE bet ADD COLUMN odds char(4);", "ban-char-field"),
        ("SELEKT 1;", "syntax-error"),
    ],
)
def test_what_would_hurt_the_running_version_is_found(tmp_path: Path, statement: str, rule: str) -> None:
    told = found(tmp_path, f"-- migrate:up\n{statement}\n\n-- migrate:down\nSELECT 1;\n")
    assert rule in told


@pytest.mark.parametrize(("waits_for", "complains"), [("20261121000100", False), ("20261120000100", True)])
def test_a_service_that_waits_for_an_older_one_is_found(
    tmp_path: Path, waits_for: str, complains: bool
) -> None:
    folder, code = tmp_path / "bets" / "migrations", tmp_path / "bets" / "bets"
    folder.mkdir(parents=True)
    code.mkdir()
    (code / "app.py").write_text(f'NEWEST_MIGRATION = "{waits_for}"\n')
    assert ("waits for migration" in found(folder, SOUND)) is complains
