"""A thousand people watching one moving market.

`python -m tools.stack with -- python -m loadtests.live [--clients 1000 --rate 20 --seconds 20]`

Latency is from the moment betting committed the change (the message's `at`) to the moment a client has read it, all on one
clock; every client's deltas count. Memory is the gateway's, before and with the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from loadtests.bank import running_stack
from loadtests.exchange import opened
from loadtests.offers import Load


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
                told = json.loads(message.data)
                self.heard[told["op"]] += 1
                if told["op"] == "img":
                    clk = told["clk"]
                elif told["op"] == "delta":
                    if told["prev"] != clk:
                        self.heard["holes"] += 1
                    clk = told["clk"]
                    self.took.append((datetime.now(UTC) - datetime.fromisoformat(told["at"])).total_seconds())


def resident_kib(port: int) -> int:
    """Of the gateway, found by its port."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                environment = (process / "environ").read_text(errors="replace").split("\0")
                if f"PORT={port}" in environment and "SERVICE=gateway" in environment:
                    status = (process / "status").read_text()
                    return int(status.split("VmRSS:")[1].split()[0])
            except OSError:
                continue
    raise LookupError(f"nobody on port {port}")


async def main() -> None:
    """Print one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--rate", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=20)
    wanted = parser.parse_args()
    stack = running_stack()
    gateway, audience = stack["urls"]["gateway"], Audience()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        day, floors = await opened(http, 20, 1)
        people = list(day.bettors.values())
        load = Load(http, gateway, people, floors)
        await load.run(20, 2)
        port = int(gateway.rpartition(":")[2])
        before = resident_kib(port)
        watching = []
        for number in range(wanted.clients):
            session = people[number % len(people)].session
            watching.append(
                asyncio.create_task(audience.watch(http, f"{gateway}/v1/live", session, floors[0].market))
            )
            if number % 50 == 49:
                await asyncio.sleep(0.1)
        while audience.heard["img"] < wanted.clients:
            await asyncio.sleep(0.1)
        each = (resident_kib(port) - before) / wanted.clients
        audience.took.clear()
        await load.run(wanted.rate, wanted.seconds)
        await asyncio.sleep(2)
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    ranks = statistics.quantiles(audience.took, n=100)
    print(
        "\n| clients | offers/s | deltas | p50 ms | p99 ms | holes | KiB a client |\n|---|---|---|---|---|---|---|"
    )
    print(
        f"| {wanted.clients} | {wanted.rate} | {len(audience.took)} | {1000 * ranks[49]:.0f} | {1000 * ranks[98]:.0f} | "
        f"{audience.heard['holes']} | {each:.0f} |"
    )


if __name__ == "__main__":
    asyncio.run(main())
