"""`docs/chart.md`: the charts of accounts as the ledger's database has them, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from difflib import unified_diff
from typing import Final

import asyncpg

from tools.stack import postgres
from tools.stack.layout import ROOT, Layout

PAGE: Final = ROOT / "docs" / "chart.md"
TOP: Final = """\
# Charts of accounts

Which accounts may exist, and which kinds of entry may move money between them. Charts are data that only a
migration changes (ADR 0034); this page is made from the migrated database by `make schema`; do not edit.

A path is matched against its class's pattern as a whole; `{id}` is a UUID. **Floor**: the balance cannot fall below zero on the
class's side. **Hold**: every posting on it names a hold. A kind's entry may debit and credit the classes named,
each as often as it likes, and balances per currency.
"""

UUID: Final = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"

WORDS: Final[Mapping[str, str]] = {
    "receipt": "spends a receipt",
    "receipt_debits": "the receipt's money arrives at",
    "players": "owners taking part",
    "hold": "hold",
    "draws": "a draw is its",
    "stake": "player legs are stakes",
    "settlement": "settlement",
    "reversible": "can be reversed",
    "mirror": "mirrors the entry it reverses",
    "expiring": "its hold may expire",
    "hold_events": "its holds have events of their own",
}
"""A column of `kind`, as people say it; one that is not here is shown by its own name."""


async def write(layout: Layout, *, check: bool) -> bool:
    """Write the page, or with `check` only tell whether it is what the database says."""
    connection = await asyncpg.connect(postgres.dsn(layout, "ledger_reader"))
    try:
        text = TOP + "".join(
            [
                await _chart(connection, row["name"])
                for row in await connection.fetch("SELECT name FROM chart ORDER BY name")
            ]
        )
    finally:
        await connection.close()
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if check:
        difference = unified_diff(before.splitlines(), text.splitlines(), str(PAGE), "database", lineterm="")
        sys.stderr.writelines(f"{line}\n" for line in difference)
        return before == text
    PAGE.write_text(text, encoding="utf-8")
    return True


async def _chart(connection: asyncpg.Connection[asyncpg.Record], name: str) -> str:
    ledgers = await connection.fetch("SELECT name FROM ledger WHERE chart = $1 ORDER BY id", name)
    currencies = await connection.fetch(
        "SELECT code, exponent FROM chart_currency JOIN currency ON code = currency WHERE chart = $1 ORDER BY code",
        name,
    )
    classes = await connection.fetch(
        "SELECT * FROM account_class WHERE chart = $1 ORDER BY side DESC, name", name
    )
    kinds = await connection.fetch("SELECT * FROM kind WHERE chart = $1 ORDER BY name", name)
    legs = await connection.fetch(
        "SELECT kind, side, class FROM kind_leg WHERE chart = $1 ORDER BY class", name
    )
    sides: dict[tuple[str, str], list[str]] = {}
    for kind, side, cls in legs:
        sides.setdefault((kind, side), []).append(f"`{cls}`")
    return "\n".join(
        [
            f"\n## `{name}`\n",
            f"Ledgers: {_names(ledgers)}. Currencies: "
            + ", ".join(f"{row['code']} ({row['exponent']} decimals)" for row in currencies) + ".\n",
            *_table(
                ("class", "paths", "grows by", "floor", "owner", "hold"),
                (
                    (
                        f"`{row['name']}`", f"`{_cell(row['pattern'])}`", row["side"], "zero" if row["floored"] else "none",
                        row["owner_kind"] or "", "yes" if row["requires_hold"] else "",
                    )
                    for row in classes
                ),
            ),
            "",
            *_table(
                ("kind", "debits", "credits", "bound by"),
                (
                    (
                        f"`{row['name']}`", " ".join(sides.get((row["name"], "debit"), [])),
                        " ".join(sides.get((row["name"], "credit"), [])), "; ".join(_binding(row)),
                    )
                    for row in kinds
                ),
            ),
            "",
        ]
    )  # fmt: skip


def _binding(kind: asyncpg.Record) -> Iterable[str]:
    """Everything a kind says besides its name and template."""
    for column, value in kind.items():
        if column in ("chart", "name") or value is None or value is False:
            continue
        said = WORDS.get(column, column.replace("_", " "))
        if value is True:
            yield said
        elif isinstance(value, list):
            yield f"{said} {', '.join(f'`{each}`' for each in value)}"
        else:
            yield f"{said}: {value}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _cell(text: str) -> str:
    """A UUID's pattern is no reading; a bar would end the table's cell."""
    return text.replace(UUID, "{id}").replace("|", "\\|")


def _names(rows: Iterable[asyncpg.Record]) -> str:
    return ", ".join(f"`{row['name']}`" for row in rows) or "none yet"
