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
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import aiohttp
import uvloop
from yarl import URL

from loadtests.arrivals import Client
from loadtests.costs import cpu_seconds
from loadtests.exchange import Floor, opened, settled
from tools.raceday.client import App
from tools.stack.described import running_stack

RATIOS = ((1, 1), (20, 19), (19, 20), (10, 9), (9, 10), (5, 4), (4, 5))
STAKE = {ratio: f"{ratio[0] * 18}.00" for ratio in RATIOS}
CONNECTIONS = 256
"""An offer that is due while all of them wait for an answer counts as dropped."""


class Offers:
    """Requests to place an offer, each written and signed before it is due: people's phones do that, and these cores are
    the platform's."""

    def __init__(self, url: URL, people: list[App], floors: list[Floor], number: int) -> None:
        dice = random.Random(number)  # noqa: S311 - a load, no secret
        self._requests = {
            (key := secrets.token_hex(8)): _written(url, dice.choice(people), dice.choice(floors), key, dice)
            for _ in range(number)
        }
        self._left = iter(self._requests)

    def fresh(self) -> str:
        """A key that was not used before. As many as there are."""
        return next(self._left)

    def request(self, key: str) -> bytes:
        """The request under that key."""
        return self._requests[key]


def _written(url: URL, person: App, floor: Floor, key: str, dice: random.Random) -> bytes:
    ratio = dice.choice(RATIOS)
    body = json.dumps(
        {
            "market_id": floor.market, "market_version": floor.version,
            "runner_id": dice.choice(floor.runners), "risk": ratio[0], "win": ratio[1],
            "stake": STAKE[ratio], "currency": "MXN", "repeat": True,
        }
    ).encode()  # fmt: skip
    headers = person.signed(
        "POST",
        url,
        {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {person.session}",
            "Idempotency-Key": key,
        },
        body,
    )
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST {url.path} HTTP/1.1\r\nHost: {url.authority}\r\n{told}Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


class Load:
    """Places offers, and counts what was answered."""

    def __init__(self, gateway: str, people: list[App], floors: list[Floor]) -> None:
        self._url = URL(f"{gateway}/v1/offers")
        self._people = people
        self._floors = floors
        self.answers: Counter[str] = Counter()

    @asynccontextmanager
    async def ready(
        self, rate: int, seconds: int, *, connections: int = CONNECTIONS
    ) -> AsyncIterator[Client]:
        """Everything is written, and the connections are open."""
        self.answers.clear()
        offers = Offers(self._url, self._people, self._floors, rate * seconds + 1)
        url = str(self._url.origin())
        async with Client(offers, look=self._answered).connected(url, connections) as client:
            yield client

    async def run(self, rate: int, seconds: int, *, connections: int) -> None:
        """So many offers a second."""
        async with self.ready(rate, seconds, connections=connections) as client:
            await client.arriving(rate, seconds)

    def _answered(self, status: int, body: bytes) -> None:
        told = str(status) if status == 201 else f"{status} {json.loads(body).get('type')}"
        self.answers[told] += 1
        self.answers["matched"] += status == 201 and b'"fills":[]' not in body


async def bracket(
    load: Load, rate: int, seconds: int, stack: Mapping[str, Any]
) -> tuple[str, dict[str, float]]:
    async with load.ready(rate, seconds) as client:
        before, began = cpu_seconds(stack), perf_counter()
        told = await client.arriving(rate, seconds)
        took = perf_counter() - began
        after = cpu_seconds(stack)
    good = load.answers["201"]
    p50, p99 = told.p(0.5), told.p(0.99)
    clean = good == sum(told.statuses.values()) and not told.dropped and p99 <= 100
    others = {name: count for name, count in load.answers.items() if name not in {"201", "matched"}}
    if told.dropped:
        others["dropped"] = told.dropped
    row = (
        f"| {rate} | {good / took:.0f} | {p50:.0f} | {p99:.0f} | "
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
    async with aiohttp.ClientSession() as http:
        day, floors = await opened(http, wanted.bettors, wanted.markets)
        load = Load(stack["urls"]["gateway"], list(day.bettors.values()), floors)
        await load.run(50, 3, connections=CONNECTIONS)  # plans and pools warm up
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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
