"""Deposits and withdrawals per second over the whole path, on a full stack.

    .venv/bin/python -m tools.stack with -- .venv/bin/python -m loadtests.payments [--count 1000]

A deposit is the claim over HTTP, two sources asked, a signature, a receipt, an entry, and the event that makes it
BOOKED; the money is at the rail before the clock runs. A withdrawal is the request, the reservation, the review, an
order at the rail, and the command through outbox, relay, broker and ledger that books it. Claims and requests go
straight to payments with tokens of identity's; the gateway is measured elsewhere. At most 32 requests are in hand at
once, so this is how fast a backlog is worked off, and no latency at a rate. CPU is user and system time of each
process, this client included.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import asyncpg

from loadtests.costs import cpu_seconds
from tools.paychaos.checks import superuser
from tools.paychaos.desk import Caller, Provider
from tools.raceday.day import home_clabe
from tools.raceday.people import person
from tools.stack.described import Stack, running_stack

PLAYERS = 100
AT_ONCE = 32


async def main(count: int) -> None:
    stack = running_stack()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        players = [Caller(stack, http, person(number)) for number in range(PLAYERS)]
        gate = asyncio.Semaphore(4)

        async def enter(caller: Caller) -> None:
            async with gate:
                await caller.enter(register=True)
                await caller.get("/v1/clabe")

        await asyncio.gather(*(enter(each) for each in players))
        provider = Provider(stack, http)
        transfers = await _transfers(provider, players, count)

        async def claim(number: int) -> None:
            told = transfers[number]
            body = {
                "tracking_key": told["clave"],
                "operation_date": told["operation_date"],
                "sender_institution": told["institution"],
                "amount": "100.00",
                "currency": "MXN",
            }
            await players[number % PLAYERS].post("/v1/deposits", body, f"deposit:{number}")

        await _measure("deposits", stack, claim, count, "SELECT count(*) FROM deposit WHERE state = 'BOOKED'")
        await _no_velocity(stack)

        async def withdraw(number: int) -> None:
            caller = players[number % PLAYERS]
            body = {
                "clabe": home_clabe(number % PLAYERS),
                "beneficiary_name": caller.who.full_name,
                "amount": "1.00",
                "currency": "MXN",
            }
            await caller.post("/v1/withdrawals", body, f"withdrawal:{number}")

        await _measure(
            "withdrawals", stack, withdraw, count, "SELECT count(*) FROM withdrawal WHERE state = 'BOOKED'"
        )


async def _transfers(provider: Provider, players: list[Caller], count: int) -> list[dict[str, str]]:
    """Money on its way, before the clock runs."""
    clabes = [(await caller.get("/v1/clabe"))["clabe"] for caller in players]
    gate = asyncio.Semaphore(AT_ONCE)

    async def send(number: int) -> dict[str, str]:
        at = number % PLAYERS
        async with gate:
            return await provider.rail(
                "POST",
                "/transfers",
                {
                    "beneficiary_clabe": clabes[at],
                    "ordering_clabe": home_clabe(at),
                    "ordering_name": players[at].who.full_name,
                    "amount": "100.00",
                    "clave": f"LOAD{number:08}",
                },
            )

    return await asyncio.gather(*(send(number) for number in range(count)))


async def _no_velocity(stack: Stack) -> None:
    """So many withdrawals of so few players would all go to review."""
    connection = await asyncpg.connect(superuser(stack, "payments"))
    try:
        await connection.execute(
            "UPDATE aml_rule SET threshold = 1000000 WHERE name LIKE 'withdrawals-per-%'"
        )
    finally:
        await connection.close()


async def _measure(
    what: str, stack: Stack, one: Callable[[int], Awaitable[None]], count: int, done: str
) -> None:
    """From the first request until the last is booked."""
    connection = await asyncpg.connect(superuser(stack, "payments"))
    gate = asyncio.Semaphore(AT_ONCE)

    async def guarded(number: int) -> None:
        async with gate:
            await one(number)

    try:
        before, began = cpu_seconds(stack), time.monotonic()
        await asyncio.gather(*(guarded(number) for number in range(count)))
        asked = time.monotonic() - began
        while await connection.fetchval(done) < count:
            await asyncio.sleep(0.05)
            if time.monotonic() - began > 600:
                raise TimeoutError(f"{await connection.fetchval(done)} of {count} {what} booked")
        took, after = time.monotonic() - began, cpu_seconds(stack)
    finally:
        await connection.close()
    print(
        f"{what}: {count} in {took:.1f} s = {count / took:.0f}/s (all asked for after {asked:.1f} s)",
        flush=True,
    )
    spent = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
    print(f"  CPU, ms each ({sum(spent.values()) / took:.2f} cores in all): ", end="")
    print(", ".join(f"{name} {spent[name] / count * 1000:.1f}" for name in sorted(spent, key=spent.__getitem__, reverse=True)
                    if spent[name] / count >= 0.0001), flush=True)  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m loadtests.payments")
    parser.add_argument("--count", type=int, default=1000)
    asyncio.run(main(parser.parse_args().count))
