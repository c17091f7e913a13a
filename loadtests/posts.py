"""Posts per second over HTTP into the ledger by itself, and the row-lock transaction beside it.

`python -m loadtests.posts` on a running stack (its servers are enough). wrk drives the ledger in a closed loop:
transfers between random accounts of 10,000, then with one hot account on one side of every post. pgbench runs the
usual row-lock ledger transaction (`rowlock.sql`) on the same PostgreSQL in the same run, so that the ratio of the
two means something on a machine whose absolute speed does not.

    --engines 2       as many ledger processes on one database, each with its share of the connections
    --batch 100       requests of so many entries instead of single posts
    --rules off       the database's rules switched off by its owner, in this experiment only: their price
    --refused 10      so many of a hundred posts are of accounts without money: the ledger refuses them
    --no-sealer       without the sealing process, which otherwise works beside
    --nothing-behind  the ledger's door alone: every post is answered at once, nothing is decided or written
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from loadtests.alone import Alone, api_key, ledger_alone, sealer, settled
from loadtests.books import LEDGER, everything_sealed, fund, make_ledger
from loadtests.programs import empty_database, run

HERE = Path(__file__).parent
ACCOUNTS = 10_000
WARM_SECONDS = 2
ROW_LOCK_CLIENTS = (1, 8, 32)


@dataclass(frozen=True, slots=True)
class Figure:
    """Answers per second and their latency in milliseconds, with the CPU spent on each entry in microseconds."""

    per_second: float
    p50_ms: float
    p99_ms: float
    python_us: float
    postgres_us: float


async def measure(
    alone: Alone, key: str, connections: int, seconds: int, *, hot: bool, batch: int, refused: int = 0
) -> Figure:
    """wrk against every process at once; each gets its share of the connections."""
    share = connections // len(alone.urls)
    await _all(alone, key, share, WARM_SECONDS, hot=hot, batch=batch, refused=refused)
    before, backends_before = _cpu_seconds(alone.pids), _cpu_seconds(_backends(alone))
    told = await _all(alone, key, share, seconds, hot=hot, batch=batch, refused=refused)
    spent = _cpu_seconds(alone.pids) - before
    spent_there = _cpu_seconds(_backends(alone)) - backends_before
    requests = sum(_rate(each) for each in told)
    return Figure(
        requests * batch,
        max(_latency(each, "50%") for each in told),
        max(_latency(each, "99%") for each in told),
        spent / (requests * batch * seconds) * 1e6,
        spent_there / (requests * batch * seconds) * 1e6,
    )


async def _all(
    alone: Alone, key: str, share: int, seconds: int, *, hot: bool, batch: int, refused: int
) -> list[str]:
    return await asyncio.gather(
        *(
            run(
                "wrk", "-t1", f"-c{share}", f"-d{seconds}s", "--latency", "--timeout", "10s",
                "-s", str(HERE / "posts.lua"), url, "--", key, str(ACCOUNTS), str(int(hot)), str(batch), str(refused),
            )
            for url in alone.urls
        )
    )  # fmt: skip


async def row_lock(clients: int, seconds: int, *, hot: bool) -> float:
    """The usual ledger transaction in pgbench, per second, in a database of its own."""
    async with empty_database() as dsn:
        await run("psql", "-q", "-v", "ON_ERROR_STOP=1", dsn, "-f", str(HERE / "rowlock_schema.sql"))
        told = await run(
            "pgbench", "-n", "-M", "prepared", f"-c{clients}", "-j1", f"-T{seconds}", "-D", f"hot={int(hot)}",
            "-f", str(HERE / "rowlock.sql"), dsn,
        )  # fmt: skip
    return pgbench_rate(told)


def pgbench_rate(told: str) -> float:
    """Transactions a second. Raises RuntimeError when it tells of none."""
    rate = re.search(r"tps = ([0-9.]+)", told)
    if rate is None:
        raise RuntimeError(told)
    return float(rate[1])


def _rate(told: str) -> float:
    found = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    if found is None or "answered" in told or "Socket errors" in told:
        raise RuntimeError(f"not every post was accepted:\n{told}")
    return float(found[1])


def _latency(told: str, share: str) -> float:
    found = re.search(rf"{share}\s+([0-9.]+)(us|ms|s)\b", told)
    if found is None:
        raise RuntimeError(told)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1_000.0}[found[2]]


def _backends(alone: Alone) -> list[int]:
    """The processes in which PostgreSQL serves this database, the sealer's among them."""
    name = alone.database.name.encode()
    found = []
    for told in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = told.read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if line.startswith(b"postgres:") and name in line:
            found.append(int(told.parent.name))
    return found


def _cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of the processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / 100


async def without_rules(alone: Alone) -> None:
    """Replace the rules by the least that keeps balances and head moving. No runtime role could do this."""
    connection = await asyncpg.connect(alone.database.superuser_dsn)
    try:
        await connection.execute((HERE / "without_rules.sql").read_text(encoding="utf-8"))
    finally:
        await connection.close()


async def _round(alone: Alone, key: str, wanted: argparse.Namespace) -> None:
    """The table, with the sealing process beside unless it is not wanted; it has caught up before anything is measured."""
    if wanted.no_sealer or wanted.nothing_behind:
        await _table(alone, key, wanted)
        return
    async with sealer(alone.database):
        await everything_sealed(alone.database)
        await _table(alone, key, wanted)


async def _table(alone: Alone, key: str, wanted: argparse.Namespace) -> None:
    for hot in (False, True):
        print("one hot account" if hot else "random pairs of 10,000 accounts")
        base = {n: await row_lock(n, wanted.seconds, hot=hot) for n in wanted.row_lock}
        if base:
            print(
                "  pgbench row-lock, " + ", ".join(f"{n} clients {rate:,.0f}/s" for n, rate in base.items())
            )
        for connections in wanted.connections:
            got = await measure(
                alone, key, connections, wanted.seconds, hot=hot, batch=wanted.batch, refused=wanted.refused
            )
            ratio = (
                f", x{got.per_second / max(base.values()):.2f} of the best row-lock figure" if base else ""
            )
            print(
                f"  {connections:3} connections: {got.per_second:,.0f} entries/s, p50 {got.p50_ms:.1f} ms, "
                f"p99 {got.p99_ms:.1f} ms, Python {got.python_us:.0f} us and PostgreSQL {got.postgres_us:.0f} us an entry{ratio}"
            )
            sys.stdout.flush()


async def main() -> None:
    """Print the tables of this run."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.posts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--engines", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--refused", type=int, default=0, help="of a hundred single posts")
    parser.add_argument("--rules", choices=("on", "off"), default="on")
    parser.add_argument("--no-sealer", action="store_true")
    parser.add_argument("--row-lock", type=int, nargs="*", default=ROW_LOCK_CLIENTS, help="pgbench clients")
    parser.add_argument("--nothing-behind", action="store_true")
    wanted = parser.parse_args()
    program = "loadtests.nothing_behind" if wanted.nothing_behind else "ledger"
    async with ledger_alone(wanted.engines, prepare=make_ledger, program=program) as alone:
        key = await api_key(alone.database, "load", "transfer", ledger=LEDGER)
        await fund(alone.urls[0], key, ACCOUNTS)
        await settled(alone.database)
        if wanted.rules == "off":
            await without_rules(alone)
        await _round(alone, key, wanted)


if __name__ == "__main__":
    asyncio.run(main())
