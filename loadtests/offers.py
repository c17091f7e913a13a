"""Offers over the whole path: gateway, betting, the ledger's hold, the match. An open model.

`python -m tools.stack with -- python -m loadtests.offers --markets 1 --rates 200,300,400 --seconds 15`

Offers arrive at a fixed rate whether the last ones were answered or not; latency counts from the moment an offer was due.
A bracket is clean if nothing was refused or dropped and p99 is at most 100 ms. Half of the offers back either runner at
ratios around evens, so about two of three meet. CPU is user and
system time of each process over the bracket (of PostgreSQL by role), by the offers placed in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import statistics
from collections import Counter
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import aiohttp
from yarl import URL

from loadtests.costs import cpu_seconds
from loadtests.exchange import Floor, opened, settled
from tools.raceday.client import App
from tools.stack.described import running_stack

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


async def bracket(
    load: Load, rate: int, seconds: int, stack: Mapping[str, Any]
) -> tuple[str, dict[str, float]]:
    load.took.clear()
    load.answers.clear()
    before, began = cpu_seconds(stack), perf_counter()
    await load.run(rate, seconds)
    took = perf_counter() - began
    after = cpu_seconds(stack)
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
    connector = aiohttp.TCPConnector(limit=256)
    async with aiohttp.ClientSession(connector=connector) as http:
        day, floors = await opened(http, wanted.bettors, wanted.markets)
        load = Load(http, stack["urls"]["gateway"], list(day.bettors.values()), floors)
        await load.run(50, 3)  # plans and pools warm up
        await settled(stack)
        print(f"\n{wanted.markets} market(s), {wanted.bettors} bettors, {wanted.seconds} s a bracket\n")
        print("| asked/s | placed/s | p50 ms | p99 ms | matched | | |\n|---|---|---|---|---|---|---|")
        costs: list[tuple[int, dict[str, float]]] = []
        for rate in map(int, wanted.rates.split(",")):
            row, cost = await bracket(load, rate, wanted.seconds, stack)
            costs.append((rate, cost))
            print(row, flush=True)
            await asyncio.sleep(3)
    print("\nCPU of each process, ms a placed offer\n")
    print("| | " + " | ".join(f"{rate}/s" for rate, _ in costs) + " |\n|---" + "|---" * len(costs) + "|")
    for name in sorted(costs[0][1], key=lambda name: -costs[0][1][name]):
        print(f"| {name} | " + " | ".join(f"{1000 * cost[name]:.2f}" for _, cost in costs) + " |")
    print("| all | " + " | ".join(f"{1000 * sum(cost.values()):.1f}" for _, cost in costs) + " |")


if __name__ == "__main__":
    asyncio.run(main())
