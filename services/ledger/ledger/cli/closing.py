"""`close`: every day and month that is over. For a scheduler: safe to run twice, at once, or late."""

from __future__ import annotations

import argparse
import asyncio
from datetime import date
from typing import TYPE_CHECKING

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ledger.cli.console import ERRORS, RESULTS
from ledger.cli.database import database, named_ledgers
from ledger.domain.amounts import written
from ledger.service.closing import Closed, Closing

if TYPE_CHECKING:
    from ledger.cli.console import Commands

NOT_COVERED = 2
"""The exit status when everything is closed and some proof fails: page someone."""


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a day is written 2026-11-21") from None


def add(commands: Commands) -> None:
    close = commands.add_parser(
        "close",
        help="close every day and month that is over; needs DATABASE_DSN of the role ledger_closer",
        description=f"Exit status: 0, 1 when a close was refused, {NOT_COVERED} when segregated funds do not cover "
        "what is owed.",
    )
    close.add_argument("--ledger", help="only this ledger; all of them unless told")
    close.add_argument("--until", type=_day, help="close nothing that begins after this day (YYYY-MM-DD)")
    close.set_defaults(run=lambda wanted: asyncio.run(_close(wanted)))


async def _close(wanted: argparse.Namespace) -> int:
    table = Table("ledger", "period", "from", "sequence", "entries", "late", "money", "owed", "covered", "")
    covered = True
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=ERRORS, transient=True
    )
    async with database("close") as pool:
        with progress:
            for name, ledger in (await named_ledgers(pool, wanted.ledger)).items():
                task = progress.add_task(f"closing {name}", total=None)
                async for closed in Closing(pool).close_due(ledger, wanted.until):
                    progress.update(
                        task, description=f"{name}: {closed.close.period} {closed.close.starts_on}"
                    )
                    covered &= all(proof.covered for proof in closed.proofs)
                    _show(table, name, closed)
    RESULTS.print(table if table.rows else "nothing to close")
    return 0 if covered else NOT_COVERED


def _show(table: Table, ledger: str, closed: Closed) -> None:
    close = closed.close
    for proof in closed.proofs or (None,):
        table.add_row(
            ledger,
            close.period,
            close.starts_on.isoformat(),
            str(close.sequence),
            str(close.entries),
            str(close.late),
            f"{written(proof.money, proof.exponent)} {proof.currency}" if proof else "",
            f"{written(proof.owed, proof.exponent)} {proof.currency}" if proof else "",
            ("yes" if proof.covered else "NO") if proof else "",
            "" if closed.here else "by another run",
        )
