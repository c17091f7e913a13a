"""A ledger's chart, as its migrations wrote it."""

from __future__ import annotations

import re
from collections import defaultdict

from common.pg import Connection

from ledger.domain.chart import AccountClass, Chart, Kind, Side

_SIDES = {"debit": Side.DEBIT, "credit": Side.CREDIT}


async def ledgers(connection: Connection) -> dict[str, int]:
    """Every ledger's id by name."""
    return {row["name"]: row["id"] for row in await connection.fetch("SELECT name, id FROM ledger")}


async def load_chart(connection: Connection, ledger: int) -> Chart:
    """The chart of `ledger`. It changes only by migration, so one load lasts a process."""
    name = await connection.fetchval("SELECT chart FROM ledger WHERE id = $1", ledger)
    templates: dict[str, set[tuple[Side, str]]] = defaultdict(set)
    for row in await connection.fetch("SELECT kind, side, class FROM kind_leg WHERE chart = $1", name):
        templates[row["kind"]].add((_SIDES[row["side"]], row["class"]))
    return Chart(
        name,
        tuple(
            AccountClass(
                row["name"],
                re.compile(row["pattern"]),
                _SIDES[row["side"]],
                row["floored"],
                row["owner_kind"],
                row["requires_hold"],
                row["address"],
            )
            for row in await connection.fetch(
                """
                SELECT name, pattern, side, floored, owner_kind, requires_hold, address
                  FROM account_class WHERE chart = $1
                """,
                name,
            )
        ),
        {
            row["name"]: Kind(
                row["name"],
                row["receipt"],
                row["players"],
                row["hold"],
                row["stake"],
                row["settlement"],
                frozenset(templates[row["name"]]),
                tuple(row["receipt_debits"] or ()),
                row["reversible"],
                row["mirror"],
                row["draws"],
                row["expiring"],
                row["counts"],
                row["capped"],
            )
            for row in await connection.fetch(
                """
                SELECT name, receipt, players, hold, stake, settlement, receipt_debits, reversible, mirror, draws,
                       expiring, counts, capped
                  FROM kind WHERE chart = $1
                """,
                name,
            )
        },
        {
            row["code"]: row["exponent"]
            for row in await connection.fetch(
                """
                SELECT c.code, c.exponent FROM chart_currency k JOIN currency c ON c.code = k.currency
                 WHERE k.chart = $1
                """,
                name,
            )
        },
    )
