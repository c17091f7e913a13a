"""`trial-balance` and `export`: reports for people. Both need DATABASE_DSN of the role ledger_reader.

A moment is settled before it is reported, so the database must be the primary, not a replica.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import Invalid
from common.pg import Pool, transaction
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ledger.cli.console import ERRORS, RESULTS
from ledger.cli.database import database, named_ledgers
from ledger.domain.amounts import written
from ledger.replica import Sources
from ledger.service import Exporting, Finding, Reading
from ledger.service.exporting import Part
from ledger.service.finding import EntryFilter
from ledger.service.reading import AsOf
from ledger.store.chart import load_chart

if TYPE_CHECKING:
    from ledger.cli.console import Commands

EL_CARRIL = "el-carril"
UNBALANCED = 2
"""The exit status when debits and credits differ."""


def add(commands: Commands) -> None:
    trial = commands.add_parser(
        "trial-balance",
        help="all balances by class; needs DATABASE_DSN of the role ledger_reader",
        description=f"Exit status: 0, or {UNBALANCED} when debits and credits differ.",
    )
    _of_one_ledger(trial)
    trial.set_defaults(run=lambda wanted: asyncio.run(_trial_balance(wanted)))

    export = commands.add_parser(
        "export", help="a file of a statement or of entries; needs DATABASE_DSN of the role ledger_reader"
    )
    acts = export.add_subparsers(required=True, metavar="act")
    statement = acts.add_parser("statement", help="an account's postings with the balance after each")
    statement.add_argument("--account", required=True)
    statement.add_argument("--currency", default="MXN")
    _of_one_ledger(statement)
    _to_a_file(statement)
    statement.set_defaults(run=lambda wanted: asyncio.run(_export_statement(wanted)))
    entries = acts.add_parser("entries", help="entries: all, or those of one kind or reference or range")
    entries.add_argument("--kind")
    entries.add_argument("--reference")
    entries.add_argument("--from", type=_moment, dest="posted_from", help="posted at or after this moment")
    entries.add_argument("--to", type=_moment, dest="posted_to", help="posted before this moment")
    entries.add_argument("--ledger", default=EL_CARRIL)
    _to_a_file(entries)
    entries.set_defaults(run=lambda wanted: asyncio.run(_export_entries(wanted)))


def _of_one_ledger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ledger", default=EL_CARRIL)
    point = parser.add_mutually_exclusive_group()
    point.add_argument("--at", type=_moment, help="as of this moment (ISO 8601 with an offset)")
    point.add_argument("--sequence", type=int, help="as of this sequence")


def _to_a_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("csv", "jsonl"), default="csv")
    parser.add_argument("--out", type=Path, required=True, help="the file to write; it must not exist")


def _moment(text: str) -> datetime:
    with suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
    raise argparse.ArgumentTypeError("a moment is written with its offset: 2026-11-21T00:00:00-06:00")


@asynccontextmanager
async def _reading(command: str, name: str) -> AsyncIterator[tuple[Pool, int, Reading]]:
    async with database(command) as pool:
        (ledger,) = (await named_ledgers(pool, name)).values()
        yield pool, ledger, Reading(Sources(pool))


async def _trial_balance(wanted: argparse.Namespace) -> int:
    async with _reading("trial-balance", wanted.ledger) as (_, ledger, reading):
        trial = (await reading.trial_balance(ledger, AsOf(wanted.sequence, wanted.at))).what
    table = Table(
        "class", "currency", "debit", "credit", title=f"{wanted.ledger} at sequence {trial.sequence}"
    )
    sums: dict[str, tuple[Decimal, Decimal, int]] = {}
    for row in trial.rows:
        table.add_row(
            row.cls, row.currency, written(row.debit, row.exponent), written(row.credit, row.exponent)
        )
        debit, credit, _ = sums.get(row.currency, (Decimal(0), Decimal(0), 0))
        sums[row.currency] = debit + row.debit, credit + row.credit, row.exponent
    table.add_section()
    for currency, (debit, credit, exponent) in sums.items():
        table.add_row("sum", currency, written(debit, exponent), written(credit, exponent))
    RESULTS.print(table)
    balanced = all(debit == credit for debit, credit, _ in sums.values())
    RESULTS.print("balanced" if balanced else "DEBITS AND CREDITS DIFFER")
    return 0 if balanced else UNBALANCED


async def _export_statement(wanted: argparse.Namespace) -> int:
    async with _reading("export", wanted.ledger) as (_, ledger, reading):
        parts = _exporting(reading, wanted).statement(
            ledger,
            wanted.account,
            wanted.currency,
            wanted.format,
            as_of=AsOf(wanted.sequence, wanted.at),
        )
        return await _write(parts, wanted.out)


async def _export_entries(wanted: argparse.Namespace) -> int:
    async with _reading("export", wanted.ledger) as (pool, ledger, reading):
        async with transaction(pool, readonly=True) as connection:
            chart = await load_chart(connection, ledger)
        fitting = EntryFilter(
            kind=wanted.kind,
            reference=wanted.reference,
            posted_from=wanted.posted_from,
            posted_to=wanted.posted_to,
        )
        return await _write(
            _exporting(reading, wanted).entries(ledger, chart, fitting, wanted.format), wanted.out
        )


def _exporting(reading: Reading, wanted: argparse.Namespace) -> Exporting:
    if wanted.out.exists():
        raise Invalid(f"{wanted.out} exists", field="out")
    return Exporting(reading, Finding(reading.sources, reading))


async def _write(parts: AsyncIterator[Part], out: Path) -> int:
    """Write them beside the file first, so that what has its name is whole."""
    beside = out.with_name(f"{out.name}.part")
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=ERRORS, transient=True
    )
    rows = 0
    try:
        with progress, beside.open("wb") as file:
            task = progress.add_task(out.name, total=None)
            async for part in parts:
                file.write(part.text)
                rows = part.rows
                progress.update(task, description=f"{out.name}: {rows} rows")
        beside.rename(out)
    finally:
        beside.unlink(missing_ok=True)
    RESULTS.print(f"{rows} rows are in {out}")
    return 0
