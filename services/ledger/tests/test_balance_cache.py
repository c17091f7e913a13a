"""Balances through a real Redis that works, dies, freezes, restarts and lies: shown fast, never wrong for long, and
never what anything is decided on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from common import redis as plumbing
from common.pg import Pool, create_pool
from ledger import balance_cache
from ledger.balance_cache import LOOKED, BalanceCache
from ledger.replica import Sources
from ledger.service import Ledger, Reading
from ledger.store.accounts import BalanceRow
from redis.asyncio import Redis

from services.ledger.tests.vocabulary import Bank, hold, posted, refused, release


@dataclass
class RedisServer:
    """A Redis of this test's own."""

    port: int
    folder: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            "setpriv", "--pdeathsig", "KILL", "redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.folder), "--save", "", "--appendonly", "no", stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    async def kill(self) -> None:
        assert self.process is not None
        self.signal(signal.SIGCONT)
        self.process.kill()
        await self.process.wait()


@dataclass
class Counter:
    """The books, with a count of how often a balance was read from them."""

    reading: Reading
    cache: BalanceCache
    ledger: Ledger
    pool: Pool
    raw: Redis
    server: RedisServer
    bank: Bank
    player: str
    reads: int = 0

    @property
    def path(self) -> str:
        return f"players/{self.player}/available"

    async def shown(self, *, min_sequence: int = 0) -> tuple[int, int, str]:
        """The balance in whole pesos, its sequence, and where it came from."""
        row, source = await self.reading.balance(1, self.path, "MXN", min_sequence=min_sequence)
        assert row.amount == int(row.amount)
        return int(row.amount), row.sequence, source

    async def take(self, amount: str = "1.00") -> int:
        """Hold some of it through the service, as a caller would; the account's sequence after it."""
        entry, _ = await self.ledger.post(hold(self.player, Decimal(amount), str(uuid4()), uuid4()))
        return entry.legs[0].account_sequence

    async def written(self) -> None:
        """Wait until the cache has written what was committed."""
        async with asyncio.timeout(5):
            while self.cache._pending:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)

    @property
    def key(self) -> str:
        return f"balance:1:MXN:{self.path}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running_redis(folder: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(free_port(), folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


@pytest.fixture
async def counter(bank: Bank, tmp_path: Path) -> AsyncIterator[Counter]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_redis(tmp_path))
        client = plumbing.connect(server.url, timeout_seconds=0.2)
        stack.push_async_callback(client.aclose)
        raw = plumbing.connect(server.url)
        stack.push_async_callback(raw.aclose)
        pool = await create_pool(
            bank.database.dsn("ledger_posting"), min_size=1, max_size=4, application_name="test-reads"
        )
        stack.push_async_callback(pool.close)
        cache = BalanceCache(client)
        writing = asyncio.create_task(cache.run())
        stack.callback(writing.cancel)
        player = await bank.fund("100.00")
        yield Counter(
            Reading(Sources(pool), cache),
            cache,
            Ledger({1: bank.engine}, cache),
            pool,
            raw,
            server,
            bank,
            player,
        )


async def test_the_second_look_is_from_the_cache_and_a_commit_is_seen(counter: Counter) -> None:
    assert await counter.shown() == (100, 1, "primary")
    assert await counter.shown() == (100, 1, "cache")
    assert await counter.take("30.00") == 2
    await counter.written()
    assert await counter.shown() == (70, 2, "cache"), "the commit wrote the new balance over the old one"
    assert 0 < await counter.raw.pttl(counter.key) <= balance_cache.TTL_MS


async def test_accounts_that_nobody_looks_at_stay_out(counter: Counter) -> None:
    await counter.take()
    await counter.written()
    assert await counter.raw.keys("*") == []


async def test_who_must_see_a_posting_does(counter: Counter) -> None:
    """Read your writes: the cache is as old as it can be, and the caller says what it knows of."""
    await counter.shown()
    old = await kept(counter)
    sequence = await counter.take("30.00")
    await counter.written()
    await tamper(counter, old)
    assert (await counter.shown())[:2] == (100, 1)
    assert await counter.shown(min_sequence=sequence) == (70, 2, "primary")
    with pytest.raises(Exception, match="2 postings") as early:
        await counter.shown(min_sequence=3)
    assert early.value.field == "min_sequence"  # type: ignore[attr-defined] # a domain error


async def test_an_older_balance_never_lands_on_a_newer_one(counter: Counter) -> None:
    """A reader that read before a commit and puts what it read after it: the race that makes caches lie."""
    gate = asyncio.Event()

    async def slow() -> BalanceRow | None:
        row = BalanceRow(counter.path, "MXN", Decimal(100), 2, 1)  # what the books said before the commit
        await gate.wait()
        return row

    looking = asyncio.create_task(counter.cache.through((1, counter.path, "MXN"), slow))
    while not await counter.raw.exists(counter.key):
        await asyncio.sleep(0.005)
    await counter.take("30.00")
    await counter.written()
    gate.set()
    await looking
    assert await counter.shown() == (70, 2, "cache")


async def test_a_hundred_who_miss_at_once_read_once(counter: Counter) -> None:
    reads = 0
    all_looked = asyncio.Event()
    before = _looked()

    async def read() -> BalanceRow | None:
        nonlocal reads
        reads += 1
        await all_looked.wait()
        return BalanceRow(counter.path, "MXN", Decimal(100), 2, 1)

    asking = [asyncio.create_task(counter.cache.through((1, counter.path, "MXN"), read)) for _ in range(100)]
    while _looked() < before + 100:  # Redis may take its time, or even fail, for some of them
        await asyncio.sleep(0.005)
    all_looked.set()
    told = await asyncio.gather(*asking)
    assert reads == 1
    assert {row.amount for row, _ in told if row} == {100}


def _looked() -> float:
    """How many looks at the cache brought nothing."""
    return sum(float(LOOKED.labels(result)._value.get()) for result in ("miss", "trouble"))


async def test_a_failed_read_is_everybodys_and_nobodys_for_long(counter: Counter) -> None:
    async def fail() -> BalanceRow | None:
        await asyncio.sleep(0.02)
        raise ConnectionError("the books are closed")

    key = (1, counter.path, "MXN")
    told = await asyncio.gather(*(counter.cache.through(key, fail) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in told] == [ConnectionError] * 5
    assert await counter.shown() == (100, 1, "primary")


async def test_readers_and_writers_at_once_end_at_the_truth(counter: Counter) -> None:
    """Never a balance from the future, never two for one sequence; at rest, the truth within two seconds."""
    seen: dict[int, int] = {}
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            amount, sequence, _ = await counter.shown()
            assert seen.setdefault(sequence, amount) == amount
            await asyncio.sleep(random.random() / 200)

    async def move() -> None:
        for _ in range(40):
            market, offer = str(uuid4()), uuid4()
            await counter.ledger.post(hold(counter.player, Decimal(1), market, offer))
            await counter.ledger.post(release(counter.player, Decimal(1), market, offer))

    lookers = [asyncio.create_task(look()) for _ in range(8)]
    await asyncio.gather(*(move() for _ in range(4)))
    done.set()
    await asyncio.gather(*lookers)
    await counter.written()
    assert (await counter.shown())[:2] == (100, 1 + 4 * 40 * 2)
    assert len(seen) > 3
    await counter.bank.check()


async def test_redis_dies_and_comes_back_empty(counter: Counter) -> None:
    await counter.shown()
    await counter.server.kill()
    assert (await counter.shown())[:2] == (100, 1)
    assert await counter.take("30.00") == 2
    assert await counter.shown() == (70, 2, "primary")
    await counter.server.start()
    await asyncio.sleep(balance_cache.REST_SECONDS)
    assert await counter.shown() == (70, 2, "primary")
    assert await counter.shown() == (70, 2, "cache")
    assert await counter.take("30.00") == 3
    await counter.written()
    assert await counter.shown() == (40, 3, "cache")


async def test_a_redis_that_is_gone_is_not_asked_at_every_look(counter: Counter) -> None:
    """One that does not answer is spared by the plumbing; one that refuses everybody at once is by the cache alone."""
    await counter.shown()
    await counter.server.kill()
    looks, before = 60, LOOKED.labels("trouble")._value.get()
    began = time.monotonic()
    for _ in range(looks):
        assert (await counter.shown())[2] == "primary"
    rests = (time.monotonic() - began) / balance_cache.REST_SECONDS
    assert 1 <= LOOKED.labels("trouble")._value.get() - before <= 2 + rests < looks
    await counter.server.start()


async def test_a_frozen_redis_holds_nobody_up_twice(counter: Counter) -> None:
    await counter.shown()
    counter.server.signal(signal.SIGSTOP)
    try:
        looks = 30
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(looks):
            assert (await counter.shown())[2] == "primary"
            await counter.take()
        # One time-out a rest, not one a look: thirty would be six seconds.
        assert loop.time() - began < looks * 0.2 / 2
    finally:
        counter.server.signal(signal.SIGCONT)
    await asyncio.sleep(max(balance_cache.REST_SECONDS, balance_cache.TTL_MS / 1_000))  # what it had is gone
    assert await counter.shown() == (70, 1 + looks, "primary")
    assert await counter.shown() == (70, 1 + looks, "cache")


async def kept(counter: Counter) -> dict[str, str]:
    """What Redis has of the balance."""
    found = await counter.raw.hgetall(counter.key)
    return {str(name, "ascii"): str(value, "ascii") for name, value in found.items()}  # type: ignore[arg-type]


async def tamper(counter: Counter, told: dict[str, str]) -> None:
    """Make Redis say something else."""
    for name, value in told.items():
        await counter.raw.hset(counter.key, name, value)


LIES: dict[str, dict[str, str] | None] = {
    "not a number": {"s": "2", "b": "plenty", "e": "2", "t": "now"},
    "NaN": {"s": "2", "b": "NaN", "e": "2"},
    "infinite": {"s": "2", "b": "Infinity", "e": "2"},
    "half of it": {"s": "2", "b": "1000000.00"},
    "a sequence that is none": {"s": "second", "b": "1.00", "e": "2"},
    "old": {"s": "2", "b": "1000000.00", "e": "2", "t": "1"},
    "from the future": {"s": "2", "b": "1000000.00", "e": "2", "t": str(2**52)},
    "another type": None,
}


@pytest.mark.parametrize("lie", LIES)
async def test_nonsense_is_not_shown(counter: Counter, lie: str) -> None:
    told = LIES[lie]
    now = str(int(time.time() * 1_000))
    if told is None:
        await counter.raw.set(counter.key, "a text")
    else:
        await tamper(counter, {"t": now, **told})
    assert await counter.shown() == (100, 1, "primary")
    await counter.take("30.00")
    await counter.written()
    assert (await counter.shown())[:2] == (70, 2)


async def test_a_good_lie_buys_nothing_and_ends_by_itself(counter: Counter) -> None:
    """A balance that looks right in every way: it is shown, for two seconds, and not a cent can be spent of it."""
    await counter.shown()
    await tamper(counter, {**await kept(counter), "s": "9000000", "b": "1000000.00"})
    await counter.raw.persist(counter.key)  # it would stay for ever, if it were for Redis
    assert (await counter.shown())[0] == 1_000_000
    answer = await counter.bank.engine.post(hold(counter.player, Decimal(101), str(uuid4()), uuid4()))
    assert refused(answer) == "insufficient-funds"
    assert posted(await counter.bank.engine.post(hold(counter.player, Decimal(100), str(uuid4()), uuid4())))
    await asyncio.sleep(balance_cache.TTL_MS / 1_000 + 0.1)
    assert await counter.shown() == (0, 2, "primary")
    await counter.bank.check()
