"""What this machine gives to code that is not ours, beside what the reference machine gave to the same.

`python -m tools.stack with --infra-only -- python -m loadtests.machine --turns 3`. The targets were set on the reference machine
from these baselines, so how far they can be reached here is a question of both: pgbench's own transaction, the row-lock
ledger transaction, an aiohttp application that reads JSON into a model and answers, one argon2id verify. The turns show
how much the machine moves meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from tempfile import NamedTemporaryFile

import uvloop
from aiohttp import web
from argon2 import PasswordHasher
from pydantic import BaseModel

from loadtests.alone import free_port
from loadtests.posts import pgbench_rate, row_lock
from loadtests.programs import empty_database, run

SCALE = 20
"""Of pgbench's own tables: two million accounts."""
DOOR_CONNECTIONS = 64
VERIFIES = 40

Baseline = Callable[[int], Awaitable[float]]


class Posting(BaseModel):
    """A body of the size of a post's."""

    account: str
    side: str
    amount: str
    currency: str


class Body(BaseModel):
    """A post as the ledger is sent them."""

    kind: str
    reference: str
    postings: list[Posting]


BODY = (
    '{"kind":"transfer","reference":"loadtests/transfer","postings":['
    '{"account":"liabilities/account-000001","side":"debit","amount":"1.00","currency":"MXN"},'
    '{"account":"liabilities/account-000002","side":"credit","amount":"1.00","currency":"MXN"}]}'
)


async def told(request: web.Request) -> web.Response:
    """Read, and nothing else."""
    body = Body.model_validate_json(await request.read())
    return web.json_response({"kind": body.kind, "postings": len(body.postings)}, status=201)


def door(port: int) -> None:
    """Serve it in this process for ever, on the loop our services use."""
    app = web.Application()
    app.router.add_post("/posts", told)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=uvloop.new_event_loop())


@asynccontextmanager
async def _door() -> AsyncIterator[str]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "loadtests.machine", "--serve", str(port), start_new_session=True
    )
    try:
        async with asyncio.timeout(20.0):
            while not await _listens(port):
                await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}/posts"
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def json_door(seconds: int) -> float:
    """JSON POSTs a second into an aiohttp application with nothing behind it, one process."""
    with NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            f"wrk.method='POST'\nwrk.body='{BODY}'\nwrk.headers['Content-Type']='application/json'\n"
        )
        script.flush()
        async with _door() as url:
            told = await run("wrk", "-t1", f"-c{DOOR_CONNECTIONS}", f"-d{seconds}s", "-s", script.name, url)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    if found is None or "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(told)
    return float(found[1])


async def argon2(_: int) -> float:
    """argon2id verifies a second on one core (19 MiB, t=2, p=1)."""
    hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    hashed = hasher.hash("correct horse")
    began = time.perf_counter()
    for _ in range(VERIFIES):
        hasher.verify(hashed, "correct horse")
    return VERIFIES / (time.perf_counter() - began)


def own_transaction(clients: int) -> Baseline:
    """pgbench's own transaction, per second."""

    async def measured(seconds: int) -> float:
        async with empty_database() as dsn:
            await run("pgbench", "-i", "-q", f"-s{SCALE}", dsn)
            return pgbench_rate(
                await run("pgbench", "-M", "prepared", f"-c{clients}", "-j1", f"-T{seconds}", dsn)
            )

    return measured


def row_locks(clients: int, *, hot: bool) -> Baseline:
    """The row-lock ledger transaction, per second."""

    async def measured(seconds: int) -> float:
        return await row_lock(clients, seconds, hot=hot)

    return measured


BASELINES: dict[str, tuple[float, Baseline]] = {
    "pgbench's own transaction, 1 client": (2_520, own_transaction(1)),
    "pgbench's own transaction, 8 clients": (4_500, own_transaction(8)),
    "row-lock transaction, 1 client": (1_200, row_locks(1, hot=False)),
    "row-lock transaction, 8 clients": (2_150, row_locks(8, hot=False)),
    "row-lock transaction, 32 clients": (1_960, row_locks(32, hot=False)),
    "row-lock transaction, 8 clients, one hot account": (1_050, row_locks(8, hot=True)),
    f"JSON POSTs into aiohttp and pydantic, nothing behind, {DOOR_CONNECTIONS} connections": (10_900, json_door),
    "argon2id verifies on one core": (26, argon2),
}  # fmt: skip
"""With what the reference machine made a second."""


async def measure(turns: int, seconds: int) -> None:
    """Print the table."""
    made: dict[str, list[float]] = {name: [] for name in BASELINES}
    for _ in range(turns):
        for name, (_, baseline) in BASELINES.items():
            made[name].append(await baseline(seconds))
    print("| per second | reference | here: lowest, median, highest | to the reference |\n|---|---|---|---|")
    for name, (reference, _) in BASELINES.items():
        low, middle, high = min(made[name]), statistics.median(made[name]), max(made[name])
        print(
            f"| {name} | {reference:,.0f} | {low:,.0f}, {middle:,.0f}, {high:,.0f} | x{middle / reference:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--serve", type=int, metavar="PORT", help="only the application, for the measurement")
    wanted = parser.parse_args()
    if wanted.serve is not None:
        door(wanted.serve)
    else:
        asyncio.run(measure(wanted.turns, wanted.seconds))


if __name__ == "__main__":
    main()
