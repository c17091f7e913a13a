"""Logins: how many a second and core, and what a storm of them does to people who look at their money.

`python -m loadtests.logins` on a running throw-away stack, on a quiet machine. First the cost of a hash by itself,
then wallet reads at a constant rate while nobody logs in, then logins as fast as they come, then both together.
Prints what belongs into `loadtests/results/logins.md`; exits with 1 when the storm makes the p99 of a wallet read more than
twice the idle one.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp
from argon2 import PasswordHasher
from identity.settings import HashSettings

from loadtests.bank import Stack, running_stack
from tools.raceday.people import Person, person

FIRST = 5_000
"""People of these numbers and on are this measurement's own."""
PEOPLE = 64
READERS = 8
MOST_SLOWER = 2.0


@dataclass(slots=True)
class Measured:
    """What came of a phase."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def p(self, percent: int) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[percent - 1]

    def told(self) -> str:
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return f"{answers}; p50 {self.p(50):.1f} ms, p99 {self.p(99):.1f} ms"


def hash_milliseconds(settings: HashSettings) -> float:
    """The median time of one hash, alone on its core."""
    hasher = PasswordHasher(
        time_cost=settings.hash_passes, memory_cost=settings.hash_memory_kib, parallelism=1
    )
    taken = []
    for _ in range(15):
        began = time.perf_counter()
        hasher.hash("un caballo colorado")
        taken.append((time.perf_counter() - began) * 1_000)
    return statistics.median(taken)


async def ask(measured: Measured, request: Awaitable[aiohttp.ClientResponse]) -> None:
    began = time.perf_counter()
    answer = await request
    await answer.read()
    measured.milliseconds.append((time.perf_counter() - began) * 1_000)
    measured.statuses[answer.status] += 1


async def register(http: aiohttp.ClientSession, base: str, who: Person) -> None:
    body = {"curp": who.curp, "full_name": who.full_name, "email": who.email, "password": who.password}
    headers = {"Idempotency-Key": str(uuid4())}
    while True:
        async with http.post(f"{base}/v1/register", json=body, headers=headers) as answer:
            if answer.status != 503:
                return
        await asyncio.sleep(0.5)


async def session_of(http: aiohttp.ClientSession, base: str, who: Person) -> str:
    proof = {"email": who.email, "password": who.password}
    async with http.post(f"{base}/v1/login", json=proof) as answer:
        session: str = (await answer.json())["session"]
        return session


async def read_wallets(
    http: aiohttp.ClientSession, base: str, sessions: list[str], *, per_second: int, seconds: float
) -> Measured:
    """At a constant rate, whether or not the answers keep up."""
    measured, began = Measured(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            headers = {"Authorization": f"Bearer {sessions[number % len(sessions)]}"}
            group.create_task(ask(measured, http.get(f"{base}/v1/wallet", headers=headers)))
    measured.seconds = time.perf_counter() - began
    return measured


async def log_in(
    http: aiohttp.ClientSession, base: str, people: list[Person], *, clients: int, seconds: float
) -> Measured:
    """As fast as `clients` get their answers; who is told to come back does so at once, as a storm would."""
    measured, began = Measured(), time.perf_counter()

    async def client(number: int) -> None:
        turn = number
        while time.perf_counter() - began < seconds:
            who = people[turn % len(people)]
            proof = {"email": who.email, "password": who.password}
            await ask(measured, http.post(f"{base}/v1/login", json=proof))
            turn += clients

    await asyncio.gather(*(client(number) for number in range(clients)))
    measured.seconds = time.perf_counter() - began
    return measured


async def measure(stack: Stack, wanted: argparse.Namespace) -> float:
    """Prints the phases; gives how much slower a wallet read is in the storm, at the 99th percentile."""
    identity, gateway = stack["urls"]["identity"], stack["urls"]["gateway"]
    people = [person(FIRST + number) for number in range(PEOPLE)]
    cores, cost = os.cpu_count() or 1, hash_milliseconds(HashSettings())
    print(f"one hash: {cost:.0f} ms, so at most {1_000 / cost:.1f} logins a second and core; {cores} cores")
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        for who in people:
            await register(http, identity, who)
        sessions = [await session_of(http, identity, who) for who in people[:READERS]]
        reads = {"per_second": wanted.reads, "seconds": wanted.seconds}
        await read_wallets(http, gateway, sessions, per_second=wanted.reads, seconds=2)
        idle = await read_wallets(http, gateway, sessions, **reads)
        print(f"wallet reads, {wanted.reads}/s, nobody logs in: {idle.told()}")
        alone = await log_in(http, identity, people, clients=wanted.clients, seconds=wanted.seconds)
        rate = alone.statuses[200] / alone.seconds
        print(
            f"logins, {wanted.clients} clients: {rate:.1f}/s, {rate / cores:.1f}/s and core; {alone.told()}"
        )
        storm, reading = await asyncio.gather(
            log_in(http, gateway, people, clients=wanted.clients, seconds=wanted.seconds),
            read_wallets(http, gateway, sessions, **reads),
        )
    print(f"the storm: {storm.statuses[200] / storm.seconds:.1f} logins/s; {storm.told()}")
    print(f"wallet reads, {wanted.reads}/s, in the storm: {reading.told()}")
    return reading.p(99) / idle.p(99)


def main() -> int:
    """The exit status: 1 when the storm slows others down by more than it may."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.logins")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--reads", type=int, default=50, help="wallet reads a second")
    parser.add_argument("--clients", type=int, default=96, help="logins in flight")
    slower = asyncio.run(measure(running_stack(), parser.parse_args()))
    print(f"p99 of a wallet read in the storm: x{slower:.2f} (may be x{MOST_SLOWER})")
    return 0 if slower <= MOST_SLOWER else 1


if __name__ == "__main__":
    sys.exit(main())
