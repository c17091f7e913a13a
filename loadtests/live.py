"""A thousand people watching one moving market.

`python -m tools.stack with -- python -m loadtests.live [--clients 1000 --rate 10 --seconds 20]`

Latency is from the moment betting committed the change (the message's `at`) to the moment a client has read it, all on one
clock; every client's deltas count. Memory is what only the gateway's process holds (USS): with half of the clients, with all
of them, and after the market has moved. A client's share is the difference between half and all, so what any client at all
needs (pools, code, the market itself) is not counted a thousand times or hidden in what was there before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from loadtests.costs import cpu_seconds, service_pids
from loadtests.exchange import opened
from loadtests.offers import Load
from tools.stack.described import running_stack

DELTA = re.compile(r'"at": "([^"]+)", "prev": (\d+), "clk": (\d+)')
CONNECTIONS = 16
"""Those that move the market; the gateway's memory for them is counted as well."""


class Audience:
    """Clients of one market."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.heard: Counter[str] = Counter()

    async def watch(self, http: aiohttp.ClientSession, url: str, session: str, market: str) -> None:
        headers, clk = {"Authorization": f"Bearer {session}"}, -1
        async with http.ws_connect(url, headers=headers, max_msg_size=0) as socket:
            await socket.send_json({"op": "sub", "ch": [f"market:{market}"]})
            async for message in socket:
                moved = DELTA.search(
                    message.data
                )  # reading all of the JSON would cost more than the gateway spends
                if moved is None:
                    told = json.loads(message.data)
                    self.heard[told["op"]] += 1
                    clk = told["clk"] if told["op"] == "img" else clk
                    continue
                at, prev, now = moved.groups()
                self.heard["delta"] += 1
                self.heard["holes"] += int(prev) != clk
                clk = int(now)
                self.took.append((datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())


def private_kib(pid: int) -> int:
    """What the process shares with nobody."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"Private_(?:Clean|Dirty):\s+(\d+) kB", rollup))


async def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--rate", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=20)
    wanted = parser.parse_args()
    stack = running_stack()
    gateway, audience = stack["urls"]["gateway"], Audience()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        day, floors = await opened(http, 20, 1)
        people = list(day.bettors.values())
        load = Load(gateway, people, floors)
        await load.run(20, 2, connections=CONNECTIONS)
        pid = service_pids(stack)["gateway"]
        watching: list[asyncio.Task[None]] = []

        async def grow(upto: int) -> int:
            """That many clients who have their image, and the memory with them."""
            while len(watching) < upto:
                session = people[len(watching) % len(people)].session
                watching.append(
                    asyncio.create_task(audience.watch(http, f"{gateway}/v1/live", session, floors[0].market))
                )
                if len(watching) % 50 == 0:
                    await asyncio.sleep(0.1)
            while audience.heard["img"] < upto:
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            return private_kib(pid)

        half = await grow(wanted.clients // 2)
        whole = await grow(wanted.clients)
        audience.took.clear()
        before = cpu_seconds(stack)
        await load.run(wanted.rate, wanted.seconds, connections=CONNECTIONS)
        await asyncio.sleep(2)
        after = cpu_seconds(stack)
        moved = private_kib(pid)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    ranks = statistics.quantiles(audience.took, n=100)
    share = wanted.clients - wanted.clients // 2
    print(
        "\n| clients | moves/s | deltas | p50 ms | p99 ms | holes | images again | KiB a client | after the moves |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {wanted.clients} | {wanted.rate} | {len(audience.took)} | {1000 * ranks[49]:.0f} | {1000 * ranks[98]:.0f} | "
        f"{audience.heard['holes']} | {audience.heard['img'] - wanted.clients} | {(whole - half) / share:.1f} | "
        f"{(moved - half) / share:.1f} |"
    )
    spent = {name: after[name] - before.get(name, 0.0) for name in ("gateway", "this client")}
    seconds = wanted.seconds + 2
    print(
        f"\nOf one core, over {seconds} s: "
        + ", ".join(f"{name} {100 * cpu / seconds:.0f} %" for name, cpu in spent.items())
    )


if __name__ == "__main__":
    asyncio.run(main())
