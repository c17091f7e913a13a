"""`docs/threat-model.md` names tests that exist: a guard whose test was renamed or removed is no guard."""

from __future__ import annotations

import ast
import re

import pytest

from tools.stack.layout import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| threat |")
]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_the_page_has_threats() -> None:
    assert len(ROWS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:50])
def test_every_threat_has_a_guard_and_a_test_that_exists(row: list[str]) -> None:
    threat, guard, tests = row
    assert threat
    assert guard
    named = NAMED.findall(tests)
    assert named, "names no test"
    for path, name in named:
        module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {
            each.name for each in ast.walk(module) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions, f"{path} has no {name}"


def test_every_ledger_test_of_attacks_is_on_the_page() -> None:
    """The other way round: an attack that somebody thought of belongs here."""
    told = {name for _, name in NAMED.findall(PAGE)}
    module = ast.parse((ROOT / "services/ledger/tests/test_verify_journal.py").read_text(encoding="utf-8"))
    forgeries = {
        each.name for each in module.body
        if isinstance(each, ast.AsyncFunctionDef) and re.search(r"forgery|cut_off|replaced|endorsement_by_nobody", each.name)
    }  # fmt: skip
    assert forgeries
    assert forgeries <= told
