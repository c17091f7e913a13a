"""Whether the rate of single posts depends on the journal's length: a long journal and a short one in turns.

`python -m loadtests.flat` on a running stack (its servers are enough). Two ledgers, each with its own database, process and
sealing process: one journal has 50 thousand postings, the other 5 million. wrk posts to one, then to the other, then begins
again, so that both meet the same minutes of a machine whose speed moves. Before the first turn the server makes a checkpoint:
for some seconds each page that is touched goes to the log as a whole, and a long journal has more of them. The later turns
are what lasts until the next checkpoint, minutes later.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

import asyncpg
from common.testing import stack

from loadtests.alone import Alone, api_key, ledger_alone, sealer, settled
from loadtests.books import LEDGER, everything_sealed, fund, make_ledger, preload
from loadtests.posts import ACCOUNTS, WARM_SECONDS, Figure, measure


@dataclass(frozen=True, slots=True)
class Journal:
    """A ledger by itself, the key to post to it, and the postings it began with."""

    alone: Alone
    key: str
    postings: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one burst on one journal came to, and what PostgreSQL wrote to its log for a post."""

    figure: Figure
    log_bytes: float
    whole_pages: float

    def __str__(self) -> str:
        got = self.figure
        return (
            f"{got.per_second:,.0f}/s, p50 {got.p50_ms:.1f} ms, p99 {got.p99_ms:.1f} ms, Python {got.python_us:.0f} us and "
            f"PostgreSQL {got.postgres_us:.0f} us, {self.log_bytes:,.0f} bytes of log, {self.whole_pages:.2f} whole pages a post"
        )


async def _opened(stays: AsyncExitStack, postings: int) -> Journal:
    alone = await stays.enter_async_context(ledger_alone(prepare=make_ledger))
    key = await api_key(alone.database, "load", "transfer", ledger=LEDGER)
    accounts = await fund(alone.urls[0], key, ACCOUNTS)
    await preload(alone.database, postings // 2 - ACCOUNTS, accounts)
    await stays.enter_async_context(sealer(alone.database))
    await everything_sealed(alone.database)
    await settled(alone.database)
    return Journal(alone, key, postings)


async def _turn(
    journal: Journal, server: asyncpg.Connection, wanted: argparse.Namespace, *, hot: bool
) -> Turn:
    await everything_sealed(journal.alone.database)
    bytes_before, pages_before = await _log(server)
    figure = await measure(
        journal.alone, journal.key, wanted.connections, wanted.seconds, hot=hot, batch=wanted.batch
    )
    bytes_after, pages_after = await _log(server)
    posts = figure.per_second * (wanted.seconds + WARM_SECONDS)
    return Turn(figure, (bytes_after - bytes_before) / posts, (pages_after - pages_before) / posts)


async def _log(server: asyncpg.Connection) -> tuple[float, float]:
    """Bytes and whole pages written to the server's log so far."""
    return (
        float(await server.fetchval("SELECT wal_bytes FROM pg_stat_wal")),
        float(await server.fetchval("SELECT wal_fpi FROM pg_stat_wal")),
    )


async def _in_turns(journals: Sequence[Journal], wanted: argparse.Namespace, *, hot: bool) -> None:
    print("one hot account" if hot else f"random pairs of {ACCOUNTS:,} accounts")
    server = await asyncpg.connect(stack().postgres.superuser_dsn)
    ratios = []
    try:
        await server.execute("CHECKPOINT")
        for number in range(1, wanted.rounds + 1):
            # Who begins changes, so that neither always comes after the other.
            order = journals if number % 2 else tuple(reversed(journals))
            told = {each.postings: await _turn(each, server, wanted, hot=hot) for each in order}
            for each in journals:
                print(f"  turn {number}, {each.postings:9,} postings: {told[each.postings]}")
            short, long = (told[each.postings].figure.per_second for each in journals)
            ratios.append(long / short)
            print(f"  turn {number}: {100 * long / short:.0f} %")
            sys.stdout.flush()
    finally:
        await server.close()
    print(f"  median of {len(ratios)} turns: {100 * median(ratios):.0f} %")


async def main() -> None:
    """Print the turns and their ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.flat",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--postings",
        type=int,
        nargs=2,
        default=[50_000, 5_000_000],
        help="of the short and of the long journal",
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--batch", type=int, default=1)
    wanted = parser.parse_args()
    async with AsyncExitStack() as stays:
        journals = [await _opened(stays, postings) for postings in wanted.postings]
        for hot in (False, True):
            await _in_turns(journals, wanted, hot=hot)


if __name__ == "__main__":
    asyncio.run(main())
