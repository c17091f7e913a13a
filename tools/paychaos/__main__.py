"""`python -m tools.paychaos --seed N [--payments 500] [--books FILE]`: one day of chaos on the stack that
EL_CARRIL_STACK describes, which must be fresh.

`python -m tools.paychaos many --seeds 1-10 --payments 500 [--twice 1]` runs each seed on a stack of its own, and the
named seeds twice, whose final hashes must agree. Two of them side by side do no harm: nothing here depends on how
fast the machine is but how long it takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from tools.paychaos.checks import Unsound, compare_with_truth
from tools.paychaos.day import Day
from tools.paychaos.outcome import digest, outcome
from tools.paychaos.plan import draw_plan
from tools.stack.described import running_stack
from tools.stack.layout import ROOT

HURRY = {
    "RETRY_FIRST_SECONDS": "0.1",
    "RETRY_LONGEST_SECONDS": "1",
    "LEASE_SECONDS": "4",
    "IDLE_SECONDS": "0.1",
    "RAIL_TIMEOUT_SECONDS": "1",
    "PSP_TIMEOUT_SECONDS": "1",
    "LEDGER_TIMEOUT_SECONDS": "2",
    "SEND_WINDOW_SECONDS": "2.5",
    "PSP_WINDOW_SECONDS": "2.5",
    "STATEMENT_GRACE_SECONDS": "0.5",
    "STATEMENT_INTERVAL_SECONDS": "0.5",
    "PAYOUTS_INTERVAL_SECONDS": "0.5",
    "PAYOUTS_OVERDUE_SECONDS": "1",
    "DISPUTES_INTERVAL_SECONDS": "0.5",
    "DISPUTES_PATIENCE_SECONDS": "1",
    "PAYOUT_EVERY_SECONDS": "0",
}
"""What a stack is told so that a day of waiting for providers takes a minute."""


async def one_day(seed: int, payments: int, *, kills: bool) -> dict[str, Any]:
    """A day on the running stack; what came of it. Raises `Unsound`."""
    stack = running_stack()
    plan = draw_plan(seed, payments)
    began = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        day = Day.on(stack, plan, http, kills=kills)
        await day.run()
        truth = await day.provider.psp("GET", "/control/truth")
        differences = await compare_with_truth(stack, truth)
        unexplained = [each for each in differences if each.explained_by is None]
        if unexplained:
            raise Unsound(f"the residual is not zero: {unexplained}")
        books = await outcome(stack, {caller.id: f"player-{at}" for at, caller in enumerate(day.players)})
        faults = {"psp": truth["struck"], "rail": await day.provider.rail("GET", "/faults"),
                  "central-bank": await day.provider.central_bank("GET", "/faults")}  # fmt: skip
    return {
        "seed": seed,
        "payments": payments,
        "seconds": round(time.monotonic() - began, 1),
        "kills": day.killer.killed.total(),
        "looks": day.auditor.looks,
        "faults": sum(sum(each.values()) for each in faults.values()),
        "differences_explained": len(differences),
        "hash": digest(books),
        "killed": dict(day.killer.killed),
        "struck": faults,
        "books": books,
    }


async def many(seeds: list[int], payments: int, twice: set[int], table: Path | None) -> int:
    """Each seed on a fresh stack, some of them twice; the exit status."""
    hashes: dict[int, str] = {}
    rows: list[str] = []
    failed = False
    for seed, again in [
        (seed, again) for seed in seeds for again in (False, True) if not again or seed in twice
    ]:
        out = ROOT / ".run" / f"paychaos-{seed}{'-again' if again else ''}.json"
        out.unlink(missing_ok=True)
        out.parent.mkdir(exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tools.stack", "with", "--", sys.executable, "-m", "tools.paychaos", "one",
            "--seed", str(seed), "--payments", str(payments), "--books", str(out), env={**os.environ, **HURRY},
        )  # fmt: skip
        if await process.wait() != 0:
            failed = True
            continue
        told = json.loads(out.read_text(encoding="utf-8"))
        rows.append(table_row(told))
        if hashes.setdefault(seed, told["hash"]) != told["hash"]:
            print(f"seed {seed}: another hash than before: {told['hash']}, not {hashes[seed]}", flush=True)
            failed = True
        if table is not None:
            write_table(table, rows)
    return 1 if failed else 0


TABLE_HEAD = (
    "| seed | payments | faults struck | kinds of fault | kills | looks | differences, all explained | seconds | final hash |",
    "|---|---|---|---|---|---|---|---|---|",
)


def write_table(file: Path, rows: list[str]) -> None:
    """The table so far."""
    file.write_text("\n".join([*TABLE_HEAD, *rows]) + "\n", encoding="utf-8")


def table_row(told: dict[str, Any]) -> str:
    """One day as a row of the table."""
    kinds = len({(server, fault) for server, struck in told["struck"].items() for fault in struck})
    cells = (
        "seed",
        "payments",
        "faults",
        kinds,
        "kills",
        "looks",
        "differences_explained",
        "seconds",
        "hash",
    )
    return "| " + " | ".join(str(told[cell] if isinstance(cell, str) else cell) for cell in cells) + " |"


def _numbers(text: str) -> list[int]:
    """Seeds as `1-3,7`."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.paychaos")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("one", help="one seed, on the running stack")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--books", type=Path)
    one.add_argument("--no-kills", action="store_true")
    several = commands.add_parser("many", help="several seeds, each on a stack of its own")
    several.add_argument("--seeds", default="1-10")
    several.add_argument("--twice", default="1", help="the seeds that are played twice, such as 1,4 or 1-10")
    several.add_argument("--table", type=Path, help="write what came of each as a table in Markdown")
    for each in (one, several):
        each.add_argument("--payments", type=int, default=500)
    wanted = parser.parse_args()
    if wanted.command == "many":
        seeds, twice = _numbers(wanted.seeds), set(_numbers(wanted.twice))
        return asyncio.run(many(seeds, wanted.payments, twice, wanted.table))
    try:
        told = asyncio.run(one_day(wanted.seed, wanted.payments, kills=not wanted.no_kills))
    except Unsound as unsound:
        print(f"seed {wanted.seed}: UNSOUND: {unsound}")
        return 1
    if wanted.books:
        wanted.books.write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")
    print(
        " ".join(
            f"{name}={value}" for name, value in told.items() if name not in ("books", "struck", "killed")
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
