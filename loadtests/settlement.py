"""Settling one market of 50,000 bets while offers are placed on another.

`python -m tools.stack with --infra-only -- python -m loadtests.settlement [--bets 50000 --bettors 20000]`

The settler is the real process (`python -m betting settle`), and so is what it hears over the broker. The bets are written by
SQL (with every rule in force). The ledger is the tests' small one: for the settlement in a process of its own, for the placing
in this one, which stands for `serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
from common.amqp import Link, Message, Publisher
from common.signing import SigningKey
from common.testing import fresh_database, stack
from contracts.envelope import Envelope, envelope
from contracts.ledger import PostRequested
from contracts.topology import EVENTS

from loadtests.alone import free_port
from services.betting.tests.asking import JUDGES
from services.betting.tests.books import Books
from services.betting.tests.fake_ledger import API_KEY, neighbours
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue, open_venue

BETS = """
    WITH bet AS (
        SELECT n, md5('maker' || n % $2)::uuid AS maker, md5('taker' || n % $2)::uuid AS taker,
               md5('m' || n)::uuid AS made, md5('t' || n)::uuid AS took FROM generate_series(1, $1::integer) n),
    both_sides AS (
        SELECT made AS id, maker AS bettor, 'm' || n AS key, 'A' AS side, 3 * n AS place FROM bet
        UNION ALL
        SELECT took, taker, 't' || n, 'B', 3 * n + 1 FROM bet),
    offers AS (
        INSERT INTO offer (id, market_id, market_version, user_id, owner, idempotency_key, side, risk, win, rank, stake,
            matched, remaining, status, sequence, next_attempt_at, placed_at, ended_at, record)
        SELECT b.id, m.id, 1, bettor, bettor, key, side, 1, 1, 0, 10, 10, 0, 'FILLED', place, now(), now(), now(),
               wager_record(jsonb_populate_record(NULL::offer, jsonb_build_object(
                   'id', b.id, 'market_id', m.id, 'market_version', 1, 'user_id', bettor, 'side', side, 'risk', 1, 'win', 1,
                   'stake', 10, 'fill_or_kill', false, 'placed_at', now())),
               m.currency, r.event_id, m.race_id, CASE side WHEN 'A' THEN m.runner_a ELSE m.runner_b END, m.terms_hash)
          FROM both_sides b, market m JOIN race r ON r.id = m.race_id WHERE m.id = $3
        RETURNING 1)
    INSERT INTO fill (id, market_id, sequence, maker_offer, maker_user, maker_side, maker_stake, taker_offer, taker_user,
        taker_side, taker_stake, taker_risk, taker_win, risk, win, lots, pot)
    SELECT md5('f' || n)::uuid, $3::uuid, 3 * n + 2, made, maker, 'A', 10, took, taker, 'B', 10, 1, 1, 1, 1, 1000, 20 FROM bet
"""


async def fill_up(venue: Venue, floor: Floor, bets: int, bettors: int) -> None:
    """A market with that many bets of ten pesos against ten."""
    async with venue.owner.acquire() as connection:
        # Before there are statistics, the rule that looks at each bet would be planned as if there were hardly any.
        await connection.execute("SET enable_seqscan = off")
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


@asynccontextmanager
async def running(*command: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own while the block runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env={**os.environ, **environment}, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def be_the_ledger(dsn: str, market: str, escrow: int) -> None:
    """Book what the market's settlement asks for, in order, and answer over the broker as the ledger's relay does."""
    books = Books()
    books.balances[f"markets/{market}/escrow"] += escrow
    connection = await asyncpg.connect(dsn)
    link = Link(stack().rabbitmq.url("relay-ledger"), name="settlement")
    publisher = Publisher(link)
    while True:
        waiting = await connection.fetch(
            "DELETE FROM outbox WHERE exchange = 'commands' AND aggregate = $1 RETURNING id, body",
            f"markets/{market}",
        )
        answers = []
        for row in sorted(waiting, key=lambda row: int(row["id"])):
            entry = books.command(Envelope.model_validate_json(row["body"]).read(PostRequested))
            now = datetime.now(UTC)
            told = envelope(entry, id=uuid4(), subject=entry.reference, version=entry.sequence, time=now)
            answers.append(
                Message(told.id, EVENTS, f"{told.type}.{entry.kind}", told.model_dump_json().encode())
            )
        if answers:
            await publisher.publish_all(answers)
        await asyncio.sleep(0.05)


async def settled(floor: Floor) -> tuple[float, float]:
    """Seconds until the settlement was computed and written, and until every chunk was booked and heard."""
    began = time.perf_counter()
    while await floor.status() == "CLOSED":
        await asyncio.sleep(0.02)
    computed = time.perf_counter() - began
    while await floor.status() != "SETTLED":
        await asyncio.sleep(0.02)
    return computed, time.perf_counter() - began


async def measure(bets: int, bettors: int) -> None:
    async with (
        fresh_database("betting") as database,
        neighbours() as (ledger, _),
        open_venue(database, ledger) as venue,
    ):
        floor, other = await venue.market(), await venue.market()
        await fill_up(venue, floor, bets, bettors)
        await floor.close()
        for judge in JUDGES:
            await floor.declare(0, judge=judge)
        await venue.time_passes()
        await venue.owner.execute("DELETE FROM outbox")

        quiet, busy = asyncio.Event(), asyncio.Event()
        asyncio.get_running_loop().call_later(5, quiet.set)
        before = await place_all_the_while(venue, other, quiet)
        books = (
            "loadtests.settlement",
            "--be-the-ledger",
            database.superuser_dsn,
            str(floor.market.id),
            str(bets * 20),
        )
        settler = {
            "PORT": str(free_port()), "DATABASE_DSN": database.dsn("betting_app"), "LEDGER_URL": ledger.url,
            "AMQP_URL": stack().rabbitmq.url("betting"), "LEDGER_API_KEY": API_KEY,
            "LEDGER_SIGNING_KEY": SigningKey("load", bytes(32)).written(), "LOG_LEVEL": "WARNING",
        }  # fmt: skip
        async with running(*books):
            await asyncio.sleep(3)  # until it is up
            placing = asyncio.create_task(place_all_the_while(venue, other, busy))
            async with running("betting", "settle", **settler):
                computed, whole = await settled(floor)
            busy.set()
            meanwhile = await placing
        chunks = await venue.owner.fetchval("SELECT count(*) FROM settlement_chunk")
        print(
            f"{bets} bets of {bettors} bettors in {chunks} chunks: computed, checked and written in {computed:.1f} s,"
        )
        print(f"every chunk booked and heard after {whole:.1f} s, both with the settler's start\n")
        print("| placing on another market | offers | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|")
        print(told("before", before))
        print(told("while it settles", meanwhile))


def main() -> None:
    """Print how long the settlement took, and placing before and meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bets", type=int, default=50_000)
    parser.add_argument("--bettors", type=int, default=20_000)
    parser.add_argument("--be-the-ledger", nargs=3, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.be_the_ledger:
        dsn, market, escrow = wanted.be_the_ledger
        asyncio.run(be_the_ledger(dsn, market, int(escrow)))
    else:
        asyncio.run(measure(wanted.bets, wanted.bettors))


if __name__ == "__main__":
    main()
