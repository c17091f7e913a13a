"""Logins: how many a second and core, and what a storm of them does to people who look at their money.

`python -m loadtests.logins` on a running throw-away stack, on a quiet machine. First the cost of a hash by itself,
then wallet reads at a constant rate while nobody logs in, then more log-ins than can be served, then both together.
Reads and log-ins come at a constant rate, whether or not the answers keep up, and the storm comes from a process of
its own: what it costs to make it must not be taken for what it does. Prints what belongs into
`loadtests/results/logins.md`; exits with 1 when the storm makes the p99 of a wallet read more than twice the idle one.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp
from argon2 import PasswordHasher
from identity.settings import HashSettings

from tools.raceday.people import Person, person
from tools.stack.described import Stack, running_stack

FIRST = 5_000
"""People of these numbers and on are this measurement's own."""
PEOPLE = 64
READERS = 8
"""Others than those who log in: a person has so many sessions, and the oldest ends."""
MOST_SLOWER = 2.0
REST_SECONDS = 15.0
"""Between two storms, until the limit of an address has forgotten the first: else the second is mostly turned away."""


@dataclass(slots=True)
class Measured:
    """What came of a phase."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)

    def p(self, percent: int) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[percent - 1]

    @property
    def served(self) -> float:
        """How many a second were answered 200."""
        return self.statuses[200] / self.seconds

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


async def at_a_rate(
    ask_once: Callable[[int], Awaitable[aiohttp.ClientResponse]], *, per_second: int, seconds: float
) -> Measured:
    """At a constant rate, whether or not the answers keep up."""
    measured, began = Measured(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
            group.create_task(ask(measured, ask_once(number)))
    measured.seconds = time.perf_counter() - began
    return measured


async def read_wallets(
    http: aiohttp.ClientSession, gateway: str, sessions: list[str], *, per_second: int, seconds: float
) -> Measured:
    def read(number: int) -> Awaitable[aiohttp.ClientResponse]:
        headers = {"Authorization": f"Bearer {sessions[number % len(sessions)]}"}
        return http.get(f"{gateway}/v1/wallet", headers=headers)

    return await at_a_rate(read, per_second=per_second, seconds=seconds)


async def log_in(gateway: str, people: list[Person], per_second: int, seconds: float) -> Measured:
    def prove(number: int) -> Awaitable[aiohttp.ClientResponse]:
        who = people[number % len(people)]
        return http.post(f"{gateway}/v1/login", json={"email": who.email, "password": who.password})

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        return await at_a_rate(prove, per_second=per_second, seconds=seconds)


def storm(gateway: str, people: list[Person], per_second: int, seconds: float) -> Measured:
    """The same, for a process of its own."""
    return asyncio.run(log_in(gateway, people, per_second, seconds))


async def measure(stack: Stack, wanted: argparse.Namespace) -> float:
    """Prints the phases; gives how much slower a wallet read is in the storm, at the 99th percentile."""
    identity, gateway = stack["urls"]["identity"], stack["urls"]["gateway"]
    people = [person(FIRST + number) for number in range(PEOPLE)]
    readers = [person(FIRST + PEOPLE + number) for number in range(READERS)]
    cores, cost = os.cpu_count() or 1, hash_milliseconds(HashSettings())
    print(f"one hash: {cost:.0f} ms, so at most {1_000 / cost:.1f} logins a second and core; {cores} cores")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as elsewhere:

        async def storming() -> Measured:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                elsewhere, storm, gateway, people, wanted.logins, wanted.seconds
            )

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            for who in (*people, *readers):
                await register(http, identity, who)
            sessions = [await session_of(http, identity, who) for who in readers]
            reads = {"per_second": wanted.reads, "seconds": wanted.seconds}
            await read_wallets(http, gateway, sessions, per_second=wanted.reads, seconds=2)
            idle = await read_wallets(http, gateway, sessions, **reads)
            print(f"wallet reads, {wanted.reads}/s, nobody logs in: {idle.told()}")
            alone = await storming()
            print(
                f"log-ins, {wanted.logins}/s asked for: {alone.served:.1f}/s, {alone.served / cores:.1f}/s and core; "
                f"{alone.told()}"
            )
            await asyncio.sleep(REST_SECONDS)
            stormy, reading = await asyncio.gather(storming(), read_wallets(http, gateway, sessions, **reads))
    print(f"the storm, {wanted.logins}/s asked for: {stormy.served:.1f} log-ins/s; {stormy.told()}")
    print(f"wallet reads, {wanted.reads}/s, in the storm: {reading.told()}")
    return reading.p(99) / idle.p(99)


def main() -> int:
    """The exit status: 1 when the storm slows others down by more than it may."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.logins")
    parser.add_argument(
        "--seconds", type=float, default=32.0, help="of each phase; within 30 every session is checked anew"
    )
    parser.add_argument("--reads", type=int, default=50, help="wallet reads a second")
    parser.add_argument("--logins", type=int, default=60, help="log-ins a second, more than can be served")
    slower = asyncio.run(measure(running_stack(), parser.parse_args()))
    print(f"p99 of a wallet read in the storm: x{slower:.2f} (may be x{MOST_SLOWER})")
    return 0 if slower <= MOST_SLOWER else 1


if __name__ == "__main__":
    sys.exit(main())
