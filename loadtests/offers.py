"""Offers over the whole path: gateway, betting, the ledger's hold, the match. An open model.

`python -m tools.stack with -- python -m loadtests.offers --markets 1 --rates 200,300,400 --seconds 15`

Offers arrive at a fixed rate whether the last ones were answered or not; latency counts from the moment an offer was due.
A bracket is clean if nothing was refused or dropped and p99 is at most 100 ms. Half of the offers back either runner at
ratios around evens, so about two of three meet. CPU is user and system time of each process over the bracket.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from time import perf_counter

import aiohttp
from yarl import URL

from loadtests.bank import running_stack
from loadtests.exchange import Floor, opened
from tools.raceday.client import App

RATIOS = ((1, 1), (20, 19), (19, 20), (10, 9), (9, 10), (5, 4), (4, 5))
STAKE = {ratio: f"{ratio[0] * 18}.00" for ratio in RATIOS}
DROP_SECONDS = 5.0
"""An offer that has not been answered by then counts as dropped."""


class Load:
    """Places offers, and notes how long each took."""

    def __init__(self, http: aiohttp.ClientSession, url: str, people: list[App], floors: list[Floor]) -> None:
        self._http = http
        self._url = URL(f"{url}/v1/offers")
        self._people = people
        self._floors = floors
        self._dice = random.Random(11)  # noqa: S311 - a load, no secret
        self.took: list[float] = []
        self.answers: Counter[str] = Counter()

    async def run(self, rate: int, seconds: int) -> None:
        loop = asyncio.get_running_loop()
        began, tasks = loop.time(), []
        for number in range(rate * seconds):
            due = began + number / rate
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            tasks.append(asyncio.create_task(self._place(due)))
        await asyncio.gather(*tasks)

    async def _place(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        person, floor = self._dice.choice(self._people), self._dice.choice(self._floors)
        ratio = self._dice.choice(RATIOS)
        body = json.dumps(
            {
                "market_id": floor.market, "market_version": floor.version,
                "runner_id": self._dice.choice(floor.runners), "risk": ratio[0], "win": ratio[1],
                "stake": STAKE[ratio], "currency": "MXN", "repeat": True,
            }
        ).encode()  # fmt: skip
        headers = person.signed(
            "POST",
            self._url,
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {person.session}",
                "Idempotency-Key": secrets.token_hex(8),
            },
            body,
        )
        try:
            async with (
                asyncio.timeout(DROP_SECONDS),
                self._http.post(self._url, data=body, headers=headers) as answer,
            ):
                told = await answer.read()
            status = str(answer.status)
            if answer.status != 201:
                status += f" {json.loads(told).get('type')}"
            elif b'"fills":[]' not in told:
                self.answers["matched"] += 1
        except (TimeoutError, aiohttp.ClientError) as error:
            status = f"dropped {type(error).__name__}"
        self.answers[status] += 1
        self.took.append(loop.time() - due)


def cpu_seconds(stack_home: str) -> dict[str, float]:
    """User and system time so far, by what the process is, of every process of the stack and of this one."""
    spent: dict[str, float] = defaultdict(float)
    tick = os.sysconf("SC_CLK_TCK")
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            environment = (process / "environ").read_bytes().decode(errors="replace")
            parent = int(fields[1])
        except (OSError, ValueError):
            continue
        name = _name(command, environment, stack_home, parent)
        if name is not None:
            spent[name] += (int(fields[11]) + int(fields[12])) / tick
    spent["this client"] = sum(os.times()[:2])
    return spent


def _name(command: str, environment: str, home: str, parent: int) -> str | None:
    if home not in command and home not in environment and "postgres: " not in command:
        return None
    for variable in environment.split("\0"):
        if variable.startswith("SERVICE="):
            return variable.removeprefix("SERVICE=")
    if "postgres" in command.split(" ")[0]:
        return "postgres"
    if "beam" in command:
        return "rabbitmq"
    if "redis-server" in command:
        return "redis"
    return None if parent else "other"


async def bracket(load: Load, rate: int, seconds: int, home: str) -> tuple[str, dict[str, float]]:
    load.took.clear()
    load.answers.clear()
    before, began = cpu_seconds(home), perf_counter()
    await load.run(rate, seconds)
    took = perf_counter() - began
    after = cpu_seconds(home)
    good = load.answers["201"]
    ranks = statistics.quantiles(load.took, n=100)
    clean = good == rate * seconds and ranks[98] <= 0.1
    others = {name: count for name, count in load.answers.items() if name not in {"201", "matched"}}
    row = (
        f"| {rate} | {good / took:.0f} | {1000 * ranks[49]:.0f} | {1000 * ranks[98]:.0f} | "
        f"{100 * load.answers['matched'] / max(1, good):.0f} % | {'clean' if clean else 'not clean'} | {others or ''} |"
    )
    return row, {name: (after[name] - before.get(name, 0.0)) / max(1, good) for name in after}


async def main() -> None:
    """Print a table of brackets, and the CPU of the last clean one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", type=int, default=1)
    parser.add_argument("--bettors", type=int, default=60)
    parser.add_argument("--rates", default="100,200,300,400")
    parser.add_argument("--seconds", type=int, default=15)
    wanted = parser.parse_args()
    stack = running_stack()
    home = str(Path(stack["log_dir"]).parent)
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(connector=connector) as http:
        day, floors = await opened(http, wanted.bettors, wanted.markets)
        load = Load(http, stack["urls"]["gateway"], list(day.bettors.values()), floors)
        await load.run(50, 3)  # plans and pools warm up
        print(f"\n{wanted.markets} market(s), {wanted.bettors} bettors, {wanted.seconds} s a bracket\n")
        print("| asked/s | placed/s | p50 ms | p99 ms | matched | | |\n|---|---|---|---|---|---|---|")
        costs: dict[str, float] = {}
        for rate in map(int, wanted.rates.split(",")):
            row, costs = await bracket(load, rate, wanted.seconds, home)
            print(row, flush=True)
            await asyncio.sleep(3)
        print("\nCPU of the last bracket, ms an offer: ", end="")
        print(", ".join(f"{name} {1000 * cost:.2f}" for name, cost in sorted(costs.items()) if cost > 1e-5))


if __name__ == "__main__":
    asyncio.run(main())
