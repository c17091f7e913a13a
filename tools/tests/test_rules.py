"""The gate's list is true: each guard stands where the list says, and its tests exist."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tools import rules_page
from tools.mutations.every import EVERY
from tools.mutations.guards import CodeGuard, DatabaseGuard
from tools.stack.layout import ROOT


@cache
def _functions(path: str) -> frozenset[str]:
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        each.name for each in ast.walk(module) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@pytest.mark.parametrize("guard", EVERY, ids=lambda guard: guard.name)
def test_a_guard_has_tests_that_exist(guard: CodeGuard | DatabaseGuard) -> None:
    assert guard.tests
    for test in guard.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), path
        assert not name or name.partition("[")[0] in _functions(path), test


@pytest.mark.parametrize(
    "guard", [each for each in EVERY if isinstance(each, CodeGuard)], ids=lambda guard: guard.name
)
def test_a_guard_in_python_can_be_taken_away(guard: CodeGuard) -> None:
    assert (ROOT / guard.file).read_text(encoding="utf-8").count(guard.old) == 1


def test_no_two_guards_have_one_name() -> None:
    names = [each.name for each in EVERY]
    assert sorted(names) == sorted(set(names))


def test_the_page_has_every_guard() -> None:
    page = rules_page.page()
    assert [each.name for each in EVERY if f"| {each.name} |" not in page] == []


def test_a_rule_that_is_in_no_schema_is_told() -> None:
    gone = DatabaseGuard("gone", "ledger", "ALTER TABLE entry DROP CONSTRAINT not_there_at_all", "", ())
    with pytest.raises(ValueError, match="not_there_at_all is not in"):
        rules_page.where(gone)
