"""`journal export`: any sealed range for an auditor, verifiable by `tools/verify_journal.py` and nothing else.

Needs DATABASE_DSN of the role ledger_reader.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ledger.cli.console import ERRORS, RESULTS
from ledger.cli.seals import EL_CARRIL, ledger_named, opened
from ledger.sealing import export_journal
from ledger.settings import SealSettings

if TYPE_CHECKING:
    from ledger.cli.console import Commands


def add(commands: Commands) -> None:
    journal = commands.add_parser("journal", help="the sealed journal, for those outside")
    acts = journal.add_subparsers(required=True, metavar="act")
    export = acts.add_parser("export", help="write a range (widened to whole seals) with its manifest")
    export.add_argument("--from", type=int, default=1, dest="first", help="sequence of the first entry")
    export.add_argument(
        "--to", type=int, dest="last", help="sequence of the last entry; default: the last sealed"
    )
    export.add_argument("--ledger", default=EL_CARRIL)
    export.add_argument("--out", type=Path, required=True, help="a folder, which must not exist")
    export.set_defaults(run=lambda wanted: asyncio.run(_export(wanted)))


async def _export(wanted: argparse.Namespace) -> int:
    columns = TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=ERRORS, transient=True) as progress:
        task = progress.add_task("entries", total=None)
        async with opened(SealSettings()) as pool:
            done = await export_journal(
                pool,
                await ledger_named(pool, wanted.ledger),
                wanted.ledger,
                wanted.out,
                first=wanted.first,
                last=wanted.last,
                advanced=lambda written, total: progress.update(task, completed=written, total=total),
            )
    RESULTS.print(f"entries {done.first} to {done.last} under {done.seals} seals are in {wanted.out}")
    RESULTS.print(f"head {done.head.number}:{done.head.hash.hex()}")
    return 0
