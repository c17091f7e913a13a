"""The page of rules: each guard around the money, where it stands today, and the test that misses it.

Made from the mutation gate's own list, so a rule on the page is one whose absence turns a test red.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tools.mutations.every import EVERY
from tools.mutations.guards import CodeGuard, DatabaseGuard
from tools.stack.layout import ROOT

HEAD: Final = """\
# Rules, and where they stand

Each line is a guard that `make mutations` takes away, to see the test beside it go red. Those in a database hold whatever
our processes do; `services/*/schema.sql` is each database as all its migrations leave it: look for the name in backticks.
Generated from `tools/mutations` by `make docs`; do not edit.
"""
_OBJECT = re.compile(r"(?:CONSTRAINT|TRIGGER|INDEX|FUNCTION) (\w+)")
_RULE = re.compile(r"IF rule <> '(\w+)'")
_FUNCTION = re.compile(r"^CREATE FUNCTION public\.(\w+)\(")


def page() -> str:
    """docs/rules.md"""
    databases = sorted({each.service for each in EVERY if isinstance(each, DatabaseGuard)})
    parts = [HEAD]
    for service in databases:
        parts.append(
            f"\n## In the database of {service}\n\n| rule | name, and where | test |\n|---|---|---|\n"
        )
        parts.extend(
            _row(each.name, where(each), each.tests)
            for each in EVERY
            if isinstance(each, DatabaseGuard) and each.service == service
        )
    parts.append("\n## In Python\n\n| rule | where | test |\n|---|---|---|\n")
    parts.extend(_row(each.name, _in_code(each), each.tests) for each in EVERY if isinstance(each, CodeGuard))
    return "".join(parts)


def _row(name: str, where: str, tests: tuple[str, ...]) -> str:
    return f"| {name} | {where} | {', '.join(f'`{test}`' for test in tests)} |\n"


def where(guard: DatabaseGuard) -> str:
    """The object in the schema; for a rule that is refused by name, the functions that do so.

    Raises ValueError when the schema has no such thing.
    """
    schema = ROOT / "services" / guard.service / "schema.sql"
    found = _RULE.search(guard.drop) or _OBJECT.search(guard.drop)
    if found is None:
        raise ValueError(f"{guard.name}: names no object of a database")
    name = found[1]
    mentions = set(_functions_with(schema.read_text(encoding="utf-8"), name))
    if not mentions:
        raise ValueError(f"{guard.name}: {name} is not in {schema}")
    inside = sorted(mentions - {"", name})
    return f"`{name}`" + (f" in {', '.join(f'`{each}`' for each in inside)}" if inside else "")


def _functions_with(schema: str, name: str) -> Iterator[str]:
    """The function that holds each mention of a name; empty for a mention outside of functions."""
    mention, inside = re.compile(rf"\b{name}\b"), ""
    for line in schema.splitlines():
        if started := _FUNCTION.match(line):
            inside = started[1]
        elif line.startswith("CREATE "):
            inside = ""
        if mention.search(line):
            yield inside


def _in_code(guard: CodeGuard) -> str:
    """The file and, in it, the function or class of the guard."""
    text = (ROOT / guard.file).read_text(encoding="utf-8")
    before, _, _ = text.partition(guard.old)
    first = before.count("\n") + 1 + guard.old[: len(guard.old) - len(guard.old.lstrip("\n"))].count("\n")
    names = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.lineno <= first <= (node.end_lineno or first)
    ]
    return f"[{guard.file}](../{guard.file})" + (f" `{'.'.join(names)}`" if names else "")
