"""Settling one market of 50,000 bets while offers are placed on another.

`python -m tools.stack with --infra-only -- python -m loadtests.settlement [--bets 50000 --bettors 20000]`

Betting's own code on a database of its own; the bets are written by SQL (with every rule in force), and the ledger beside
it is the tests' small one, so this is betting's part of the work: compute, check twice, write, tell, hear every chunk.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from common.testing import fresh_database

from services.betting.tests.asking import JUDGES
from services.betting.tests.fake_ledger import neighbours
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue, open_venue

BETS = """
    WITH bet AS (
        SELECT n, md5('maker' || n % $2)::uuid AS maker, md5('taker' || n % $2)::uuid AS taker,
               md5('m' || n)::uuid AS made, md5('t' || n)::uuid AS took FROM generate_series(1, $1::integer) n),
    offers AS (
        INSERT INTO offer (id, market_id, market_version, user_id, owner, idempotency_key, side, risk, win, rank, stake,
            matched, remaining, status, sequence, next_attempt_at, ended_at)
        SELECT made, $3::uuid, 1, maker, maker, 'm' || n, 'A', 1, 1, 0, 10, 10, 0, 'FILLED', 3 * n, now(), now() FROM bet
        UNION ALL
        SELECT took, $3::uuid, 1, taker, taker, 't' || n, 'B', 1, 1, 0, 10, 10, 0, 'FILLED', 3 * n + 1, now(), now() FROM bet
        RETURNING 1)
    INSERT INTO fill (id, market_id, sequence, maker_offer, maker_user, maker_side, maker_stake, taker_offer, taker_user,
        taker_side, taker_stake, taker_risk, taker_win, risk, win, lots, pot)
    SELECT md5('f' || n)::uuid, $3::uuid, 3 * n + 2, made, maker, 'A', 10, took, taker, 'B', 10, 1, 1, 1, 1, 1000, 20 FROM bet
"""


async def fill_up(venue: Venue, floor: Floor, bets: int, bettors: int) -> None:
    """A market with that many bets of ten pesos against ten."""
    async with venue.owner.acquire() as connection:
        await connection.execute(BETS, bets, bettors // 2, floor.market.id, timeout=120)
        await connection.execute(
            "UPDATE market SET escrow = $2::integer * 20, sequence = $2::integer * 3 + 2 WHERE id = $1",
            floor.market.id,
            bets,
        )
        await connection.execute("ANALYZE")
    venue.books.balances[f"markets/{floor.market.id}/escrow"] += bets * 20


async def place_all_the_while(venue: Venue, floor: Floor, done: asyncio.Event) -> list[float]:
    """Seconds each offer took, one every 20 ms."""
    took: list[float] = []
    people = [venue.bettor("1000000.00") for _ in range(20)]

    async def one(number: int) -> None:
        began = time.perf_counter()
        await floor.place(people[number % 20], number % 2, (1, 1), 10)
        took.append(time.perf_counter() - began)

    placing: list[asyncio.Task[None]] = []
    while not done.is_set():
        placing.append(asyncio.create_task(one(len(placing))))
        await asyncio.sleep(0.02)
    await asyncio.gather(*placing)
    return took


def told(name: str, took: list[float]) -> str:
    ranks = statistics.quantiles(took, n=100)
    return (
        f"| {name} | {len(took)} | {1000 * ranks[49]:.0f} | {1000 * ranks[98]:.0f} | {1000 * max(took):.0f} |"
    )


async def main() -> None:
    """Print how long the settlement took, and placing before and meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bets", type=int, default=50_000)
    parser.add_argument("--bettors", type=int, default=20_000)
    wanted = parser.parse_args()
    async with (
        fresh_database("betting") as database,
        neighbours() as (ledger, _),
        open_venue(database, ledger) as venue,
    ):
        floor, other = await venue.market(), await venue.market()
        await fill_up(venue, floor, wanted.bets, wanted.bettors)
        await floor.close()
        for judge in JUDGES:
            await floor.declare(0, judge=judge)
        await venue.time_passes()
        await venue.owner.execute("DELETE FROM outbox")

        quiet, busy = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(3, quiet.set)
        before = await place_all_the_while(venue, other, quiet)
        placing = asyncio.create_task(place_all_the_while(venue, other, busy))
        began = time.perf_counter()
        await venue.settling.settle(floor.market.id)
        computed = time.perf_counter() - began
        await venue.deliver()
        whole = time.perf_counter() - began
        busy.set()
        meanwhile = await placing
        assert await floor.status() == "SETTLED"
        chunks = await venue.owner.fetchval("SELECT count(*) FROM settlement_chunk")
        print(
            f"{wanted.bets} bets of {wanted.bettors} bettors in {chunks} chunks: computed, checked and written in "
        )
        print(
            f"{computed:.1f} s, every chunk booked and heard after {whole:.1f} s (the small ledger is in this process)\n"
        )
        print("| placing on another market | offers | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|")
        print(told("before", before))
        print(told("while it settles", meanwhile))


if __name__ == "__main__":
    asyncio.run(main())
