"""`rebuild --check`: recompute from the journal everything that is kept beside it, and report what differs."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from common.pg import Pool
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ledger.cli.console import ERRORS, RESULTS
from ledger.cli.database import database, named_ledgers
from ledger.service.rebuilding import recompute
from ledger.store.rebuild import Drift, Extent

if TYPE_CHECKING:
    from ledger.cli.console import Commands

DRIFTED = 2
"""The exit status when something differs."""


def add(commands: Commands) -> None:
    rebuild = commands.add_parser(
        "rebuild",
        help="recompute everything from the journal; needs DATABASE_DSN of the role ledger_reader",
        description="Balances, account sequences, balances after, holds, stakes, settlements, receipts, closes: each "
        "is recomputed from entries and postings and compared. There is only --check: no role may write what is "
        f"derived, so drift is a case for the runbook, not for a command. Exit status: 0, or {DRIFTED} with drift.",
    )
    rebuild.add_argument("--check", action="store_true", required=True, help="compare, and change nothing")
    rebuild.add_argument("--ledger", help="only this ledger; all of them unless told")
    rebuild.set_defaults(run=lambda wanted: asyncio.run(_rebuild(wanted)))


async def _rebuild(wanted: argparse.Namespace) -> int:
    drifts: list[tuple[str, Drift]] = []
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=ERRORS,
        transient=True,
    )
    async with database("rebuild") as pool:
        with progress:
            for name, ledger in (await named_ledgers(pool, wanted.ledger)).items():
                drifts += [(name, drift) for drift in await _check(pool, progress, name, ledger)]
    if not drifts:
        RESULTS.print("no drift")
        return 0
    table = Table("ledger", "what", "where", "stored", "recomputed")
    for name, drift in drifts:
        table.add_row(name, drift.check, drift.subject, drift.stored, drift.recomputed)
    RESULTS.print(table)
    RESULTS.print(f"{len(drifts)} drifted")
    return DRIFTED


async def _check(pool: Pool, progress: Progress, name: str, ledger: int) -> list[Drift]:
    task = progress.add_task(name, total=None)
    found: list[Drift] = []
    async for step in recompute(pool, ledger):
        if isinstance(step, Extent):
            RESULTS.print(
                f"{name}: {step.sequence} entries, {step.accounts} accounts, {step.holds} holds, "
                f"{len(step.closes)} closes"
            )
            continue
        progress.update(task, description=f"{name}: {step.check}", completed=step.done, total=step.parts)
        found += step.found
    return found
