"""`verify`: the whole sealed journal is read again and compared with its seals, inside the house.

Needs DATABASE_DSN of the role ledger_reader; on a replica if there is one. Those outside take `journal export` and
`tools/verify_journal.py`, which trust nothing of this.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from common.pg import transaction
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ledger.cli.console import ERRORS, RESULTS
from ledger.cli.seals import EL_CARRIL, ledger_named, opened
from ledger.sealing import check_seals
from ledger.settings import SealSettings
from ledger.store import seals as store

if TYPE_CHECKING:
    from ledger.cli.console import Commands


def add(commands: Commands) -> None:
    verify = commands.add_parser(
        "verify",
        help="read the sealed journal again and compare it with its seals",
        description="Exit status: 0, or 1 when a seal does not hold. For balances: rebuild --check.",
    )
    verify.add_argument("--ledger", default=EL_CARRIL)
    verify.set_defaults(run=lambda wanted: asyncio.run(_verify(wanted)))


async def _verify(wanted: argparse.Namespace) -> int:
    wrong = checked = 0
    columns = TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=ERRORS, transient=True) as progress:
        async with opened(SealSettings()) as pool:
            ledger = await ledger_named(pool, wanted.ledger)
            async with transaction(pool, readonly=True) as connection:
                newest = await store.last_seal(connection, ledger)
            task = progress.add_task("seals", total=newest.number if newest else 0)
            async for finding in check_seals(pool, ledger, wanted.ledger):
                progress.advance(task)
                checked += 1
                if finding.wrong:
                    wrong += 1
                    seal = finding.seal
                    RESULTS.print(
                        f"seal {seal.number} (entries {seal.first} to {seal.last}): {finding.wrong}"
                    )
    RESULTS.print(f"{checked} seals checked, {wrong} wrong")
    return 1 if wrong else 0
