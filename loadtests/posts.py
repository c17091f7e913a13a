"""Single posts per second over HTTP into one ledger process, and the row-lock transaction beside it.

`python -m loadtests.posts` on a running throw-away stack. wrk drives the ledger in a closed loop; pgbench runs
the usual row-lock ledger transaction (`rowlock.sql`) on the same PostgreSQL right before, so that the
ratio of the two means something on a machine whose absolute speed does not.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from loadtests.bank import Stack, fund_players, ledger_key, running_stack

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Figure:
    """Answers per second and their latency in milliseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float


async def measure(stack: Stack, connections: int, seconds: int, *, hot: bool) -> Figure:
    """wrk against the ledger: every request a hold under a key of its own."""
    key = await ledger_key(stack, "load", "deposit", "bet.hold")
    players = await fund_players(stack, key, 1_000)
    with tempfile.NamedTemporaryFile("w", suffix=".players") as listed:
        listed.write("\n".join(players))
        listed.flush()
        told = await _run(
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(HERE / "posts.lua"),
            stack["urls"]["ledger"], "--", key, str(uuid4()), listed.name, str(int(hot)),
        )  # fmt: skip
    if "answered" in told or "Socket errors" in told:
        raise RuntimeError(f"not every post was accepted:\n{told}")
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    if rate is None:
        raise RuntimeError(told)
    return Figure(float(rate[1]), _latency(told, "50%"), _latency(told, "99%"))


async def row_lock(stack: Stack, clients: int, seconds: int, *, hot: bool) -> float:
    """The usual ledger transaction in pgbench, per second, in a database of its own."""
    superuser = stack["postgres"]["superuser_dsn"]
    name = f"rowlock_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        dsn = urlunsplit(urlsplit(superuser)._replace(path=f"/{name}"))
        await _run("psql", "-q", "-v", "ON_ERROR_STOP=1", dsn, "-f", str(HERE / "rowlock_schema.sql"))
        told = await _run(
            "pgbench", "-n", "-M", "prepared", f"-c{clients}", "-j1", f"-T{seconds}", "-D", f"hot={int(hot)}",
            "-f", str(HERE / "rowlock.sql"), dsn,
        )  # fmt: skip
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()
    rate = re.search(r"tps = ([0-9.]+)", told)
    if rate is None:
        raise RuntimeError(told)
    return float(rate[1])


def _latency(told: str, share: str) -> float:
    found = re.search(rf"{share}\s+([0-9.]+)(us|ms|s)", told)
    if found is None:
        raise RuntimeError(told)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1_000.0}[found[2]]


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]}: {told.decode()[-2000:]}")
    return told.decode()


async def main() -> None:
    """Print a table of this run."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.posts")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 128])
    wanted = parser.parse_args()
    stack = running_stack()
    for hot in (False, True):
        base = {n: await row_lock(stack, n, wanted.seconds, hot=hot) for n in (1, 8, 32)}
        best = max(base.values())
        print(f"{'one hot player' if hot else 'random players'}")
        print("  pgbench row-lock, " + ", ".join(f"{n} clients {rate:,.0f}/s" for n, rate in base.items()))
        for connections in wanted.connections:
            got = await measure(stack, connections, wanted.seconds, hot=hot)
            print(
                f"  ledger over HTTP, {connections:3} connections: {got.per_second:,.0f}/s, p50 {got.p50_ms:.1f} ms, "
                f"p99 {got.p99_ms:.1f} ms, x{got.per_second / best:.2f} of the best row-lock figure"
            )


if __name__ == "__main__":
    asyncio.run(main())
