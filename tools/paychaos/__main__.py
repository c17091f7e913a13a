"""`python -m tools.paychaos --seed N [--payments 500] [--books FILE]`: one day of chaos on the stack that
EL_CARRIL_STACK describes, which must be fresh.

`python -m tools.paychaos many --seeds 1-10 --payments 500 [--twice 1]` runs each seed on a stack of its own, and the
named seeds twice, whose final hashes must agree.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from loadtests.bank import running_stack
from tools.paychaos.checks import Unsound, compare_with_truth
from tools.paychaos.day import Day, outcome
from tools.paychaos.plan import draw_plan
from tools.stack.layout import ROOT

HURRY = {
    "RETRY_FIRST_SECONDS": "0.1",
    "RETRY_LONGEST_SECONDS": "1",
    "LEASE_SECONDS": "4",
    "IDLE_SECONDS": "0.05",
    "RAIL_TIMEOUT_SECONDS": "1",
    "PSP_TIMEOUT_SECONDS": "1",
    "LEDGER_TIMEOUT_SECONDS": "2",
    "SEND_WINDOW_SECONDS": "2.5",
    "PSP_WINDOW_SECONDS": "2.5",
    "STATEMENT_GRACE_SECONDS": "4",
    "STATEMENT_INTERVAL_SECONDS": "1",
    "PAYOUTS_INTERVAL_SECONDS": "1",
    "PAYOUTS_OVERDUE_SECONDS": "5",
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
        books = await outcome(stack, day)
    digest = hashlib.sha256(json.dumps(books, sort_keys=True, default=str).encode()).hexdigest()
    return {
        "seed": seed,
        "payments": payments,
        "seconds": round(time.monotonic() - began, 1),
        "kills": day.killed,
        "looks": day.auditor.looks,
        "faults": truth["struck"],
        "differences_explained": len(differences),
        "hash": digest,
        "books": books,
    }


async def many(seeds: list[int], payments: int, twice: list[int]) -> int:
    """Each seed on a fresh stack; the exit status."""
    hashes: dict[int, str] = {}
    failed = False
    for seed in [*seeds, *twice]:
        out = ROOT / ".run" / f"paychaos-{seed}.json"
        out.unlink(missing_ok=True)
        out.parent.mkdir(exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tools.stack", "with", "--", sys.executable, "-m", "tools.paychaos", "one",
            "--seed", str(seed), "--payments", str(payments), "--books", str(out), env={**os.environ, **HURRY},
        )  # fmt: skip
        if await process.wait() != 0:
            failed = True
            continue
        digest = json.loads(out.read_text(encoding="utf-8"))["hash"]
        if hashes.setdefault(seed, digest) != digest:
            print(f"seed {seed}: another hash than before: {digest}, not {hashes[seed]}")
            failed = True
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.paychaos")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("one", help="one seed, on the running stack")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--books", type=Path)
    one.add_argument("--no-kills", action="store_true")
    several = commands.add_parser("many", help="several seeds, each on a stack of its own")
    several.add_argument("--seeds", default="1-10")
    several.add_argument("--twice", default="1")
    for each in (one, several):
        each.add_argument("--payments", type=int, default=500)
    wanted = parser.parse_args()
    if wanted.command == "many":
        first, _, last = wanted.seeds.partition("-")
        seeds = list(range(int(first), int(last or first) + 1))
        return asyncio.run(
            many(seeds, wanted.payments, [int(each) for each in wanted.twice.split(",") if each])
        )
    try:
        told = asyncio.run(one_day(wanted.seed, wanted.payments, kills=not wanted.no_kills))
    except Unsound as unsound:
        print(f"seed {wanted.seed}: UNSOUND: {unsound}")
        return 1
    if wanted.books:
        wanted.books.write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")
    print(" ".join(f"{name}={value}" for name, value in told.items() if name not in ("books", "faults")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
