"""Reports from a real streaming replica: exact, with its lag told, and not at all when it is too far behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from math import isinf
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from common.pg import create_pool
from common.testing import VARIABLE, Database, fresh_database, in_database, stack
from ledger.domain.chart import Chart
from ledger.domain.refusals import NoSuchAccount, NoSuchReference
from ledger.replica import PATIENCE_SECONDS, Replica, ReplicaBehind, Sources
from ledger.service import Exporting, Finding, Reading
from ledger.service.finding import EntryFilter
from ledger.service.reading import AsOf

from services.ledger.tests.vocabulary import PRINCIPAL, Bank, connected, hold, open_bank, posted
from tools.stack import replica as copies
from tools.stack.layout import Layout

MAX_LAG_SECONDS = 1.0


@dataclass
class Standby:
    """A replica's server."""

    layout: Layout
    log: Path
    process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        spec = copies.spec(self.layout)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220, S603 - it outlives a test's loop
                spec.command, cwd=spec.directory, stdout=log, stderr=log
            )
        async with asyncio.timeout(30):
            while not await spec.ready():
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        await asyncio.to_thread(self.process.wait, 30)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of it stopped, its connections left open: it takes what is sent and answers nothing."""
        assert self.process is not None
        main = self.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text(encoding="ascii")
        processes = [main, *map(int, children.split())]
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in processes:
                os.kill(each, signal.SIGCONT)

    async def pause(self, *, on: bool) -> None:
        """Receive what is written, but do not replay it."""
        connection = await asyncpg.connect(
            stack().postgres.superuser_dsn.replace(
                self.layout.address("postgres"), self.layout.address(copies.NAME)
            )
        )
        try:
            await connection.execute(f"SELECT pg_wal_replay_{'pause' if on else 'resume'}()")
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def standby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standby]:
    """One replica of the stack's PostgreSQL for all tests of this page."""
    layout = Layout(Path(os.environ[VARIABLE]).parent.name, stack().base)
    server = Standby(layout, tmp_path_factory.mktemp("replica") / "log")
    asyncio.run(copies.initialise(layout))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    asyncio.run(copies.forget(layout))


@dataclass
class Office:
    """The books, their replica, and who reads them."""

    bank: Bank
    replica: Replica
    reading: Reading
    finding: Finding
    chart: Chart
    standby: Standby

    async def caught_up(self) -> None:
        async with asyncio.timeout(20):
            while True:
                with suppress(
                    asyncpg.InvalidCatalogNameError
                ):  # the database itself has to arrive there first
                    await self.replica.measure()
                if self.replica.lag_seconds < 0.2:
                    return
                await asyncio.sleep(0.05)


@asynccontextmanager
async def office(standby: Standby, database: Database) -> AsyncIterator[Office]:
    async with AsyncExitStack() as opened:
        bank = await open_bank(database, opened)
        primary = await create_pool(
            database.dsn("ledger_posting"), min_size=1, max_size=4, application_name="test-reads"
        )
        opened.push_async_callback(primary.close)
        address = in_database(copies.dsn(standby.layout, "ledger_reader"), database.name)
        pool = await create_pool(address, min_size=0, max_size=4, application_name="test-replica")
        opened.push_async_callback(pool.close)
        replica = Replica(pool, primary, max_lag_seconds=MAX_LAG_SECONDS)
        sources = Sources(primary, replica)
        reading = Reading(sources)
        yield Office(bank, replica, reading, Finding(sources, reading), bank.engine.chart, standby)


@pytest.fixture
async def reports(standby: Standby) -> AsyncIterator[Office]:
    async with fresh_database("ledger") as database:
        async with connected(database, "superuser") as connection:
            await connection.execute(
                "INSERT INTO principal (ledger_id, name, kinds) SELECT 1, $1, array_agg(name) FROM kind "
                "WHERE chart = 'el-carril'",
                PRINCIPAL,
            )
        async with office(standby, database) as opened:
            yield opened


async def test_reports_come_from_the_replica_and_are_exact(reports: Office) -> None:
    player = await reports.bank.fund("100.00")
    assert posted(await reports.bank.engine.post(hold(player, Decimal(30), str(uuid4()), uuid4())))
    await reports.caught_up()
    path = f"players/{player}/available"
    told = await reports.reading.statement(1, path, "MXN", after=None, limit=10)
    assert told.source.name == "replica"
    assert [line.balance for line in told.what.lines] == [Decimal(100), Decimal(70)]
    assert 0 <= told.source.lag_seconds < MAX_LAG_SECONDS
    trial = await reports.reading.trial_balance(1)
    assert (trial.source.name, trial.what.sequence) == ("replica", 2)
    page = await reports.finding.entries(1, reports.chart, EntryFilter(), after=None, limit=10)
    assert (page.source.name, [entry.sequence for entry in page.what.entries]) == ("replica", [1, 2])


async def test_what_must_be_shown_is_never_left_out(reports: Office) -> None:
    """A replica that is fresh enough but has not reached the sequence asked for: the books themselves answer."""
    player = await reports.bank.fund("100.00")
    await reports.caught_up()
    await reports.standby.pause(on=True)
    try:
        assert posted(await reports.bank.engine.post(hold(player, Decimal(30), str(uuid4()), uuid4())))
        path = f"players/{player}/available"
        stale = await reports.reading.statement(1, path, "MXN", after=None, limit=10)
        assert (stale.source.name, len(stale.what.lines)) == ("replica", 1)
        exact = await reports.reading.statement(1, path, "MXN", after=None, limit=10, as_of=AsOf(sequence=2))
        assert (exact.source.name, len(exact.what.lines)) == ("primary", 2)
        with pytest.raises(ReplicaBehind):
            await reports.reading.trial_balance(1, AsOf(sequence=2))
    finally:
        await reports.standby.pause(on=False)
    await reports.caught_up()
    trial = await reports.reading.trial_balance(1, AsOf(sequence=2))
    assert (trial.source.name, trial.what.sequence) == ("replica", 2)


async def test_that_there_is_no_such_thing_is_for_the_books_to_say(reports: Office) -> None:
    """A replica that is fresh enough has not heard of an account that was opened a moment ago, nor of its entry."""
    await reports.bank.fund("100.00")
    await reports.caught_up()
    await reports.standby.pause(on=True)
    try:
        player, market = await reports.bank.fund("50.00"), str(uuid4())
        assert posted(await reports.bank.engine.post(hold(player, Decimal(30), market, uuid4())))
        path = f"players/{player}/available"
        told = await reports.reading.statement(1, path, "MXN", after=None, limit=10)
        assert (told.source.name, len(told.what.lines)) == ("primary", 2)
        for wanted in (EntryFilter(account=path), EntryFilter(reference=f"markets/{market}")):
            page = await reports.finding.entries(1, reports.chart, wanted, after=None, limit=10)
            assert (page.source.name, len(page.what.entries) > 0) == ("primary", True)
        assert reports.replica.is_fresh
        with pytest.raises(NoSuchAccount):
            await reports.reading.statement(1, "players/nobody/available", "MXN", after=None, limit=10)
        with pytest.raises(NoSuchReference):
            await reports.finding.entries(1, reports.chart, EntryFilter(reference="x"), after=None, limit=10)
    finally:
        await reports.standby.pause(on=False)
    # What was written within the lag's tolerance may still be on its way: the books say it until it is there.
    async with asyncio.timeout(20):
        while told.source.name != "replica":
            told = await reports.reading.statement(1, path, "MXN", after=None, limit=10)
    assert len(told.what.lines) == 2


async def test_beyond_the_bound_pages_fall_back_and_heavy_reports_wait(reports: Office) -> None:
    player = await reports.bank.fund("100.00")
    await reports.caught_up()
    await reports.standby.pause(on=True)
    try:
        assert posted(await reports.bank.engine.post(hold(player, Decimal(30), str(uuid4()), uuid4())))
        async with asyncio.timeout(20):
            while reports.replica.is_fresh:
                await reports.replica.measure()
                await asyncio.sleep(0.1)
        assert reports.replica.lag_seconds > MAX_LAG_SECONDS
        path = f"players/{player}/available"
        told = await reports.reading.statement(1, path, "MXN", after=None, limit=10)
        assert (told.source.name, len(told.what.lines), told.source.lag_seconds) == ("primary", 2, 0)
        for report in (
            reports.reading.trial_balance(1, AsOf(sequence=1)),
            anext(Exporting(reports.reading, reports.finding).statement(1, path, "MXN", "csv", as_of=AsOf())),
            anext(
                Exporting(reports.reading, reports.finding).entries(1, reports.chart, EntryFilter(), "jsonl")
            ),
        ):
            with pytest.raises(ReplicaBehind) as behind:
                await report
            assert (behind.value.status, behind.value.retry_after) == (503, 5)
        standing = reports.reading.sources.standing()
        assert standing["fresh"] is False
    finally:
        await reports.standby.pause(on=False)
    await reports.caught_up()
    assert reports.reading.sources.standing()["fresh"] is True
    assert (await reports.reading.trial_balance(1, AsOf(sequence=1))).source.name == "replica"


async def test_an_idle_ledger_has_no_lag_and_a_lost_primary_is_not_freshness(reports: Office) -> None:
    """A replica that has replayed all it received says so even when it receives nothing any more: not believed."""
    await reports.caught_up()
    await asyncio.sleep(MAX_LAG_SECONDS * 1.5)
    await reports.replica.measure()
    await reports.replica.measure()
    assert reports.replica.lag_seconds < MAX_LAG_SECONDS, "nothing was written: nothing is missing"

    async with connected(reports.bank.database, "superuser") as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE pid IS NOT NULL"
        )
    await reports.standby.stop()  # and gone altogether
    try:
        await reports.bank.fund("1.00")
        await asyncio.sleep(MAX_LAG_SECONDS * 1.2)
        assert not reports.replica.is_fresh
        assert (await reports.reading.trial_balance(1)).source.name == "primary"
    finally:
        await reports.standby.start()
    await reports.caught_up()
    assert (await reports.reading.trial_balance(1)).source.name == "replica"


async def test_until_it_was_seen_to_be_fresh_it_is_not_used(reports: Office) -> None:
    pool = reports.replica.pool
    new = Replica(pool, pool, max_lag_seconds=5)
    assert isinf(new.lag_seconds)
    assert not new.is_fresh
    assert Sources(pool, new).standing()["lag_seconds"] is None


async def test_a_frozen_replica_holds_nobody_up(reports: Office) -> None:
    """Pages are read from the books within its patience, and at once when it has owed a measurement for so long; heavy
    reports are told to come again. Once it answers it is asked again."""
    player = await reports.bank.fund("100.00")
    path = f"players/{player}/available"

    async def page() -> tuple[str, int]:
        async with asyncio.timeout(PATIENCE_SECONDS + 2):
            told = await reports.reading.statement(1, path, "MXN", after=None, limit=10)
        return told.source.name, len(told.what.lines)

    await reports.caught_up()
    assert await page() == ("replica", 1)
    with reports.standby.frozen():
        assert reports.replica.is_fresh, "nobody has noticed yet"
        assert await asyncio.gather(*(page() for _ in range(8))) == [("primary", 1)] * 8
        reports.replica.max_lag_seconds = 60
        watching = asyncio.create_task(reports.replica.watch())
        async with asyncio.timeout(20):
            while reports.replica.is_fresh:
                await asyncio.sleep(0.05)
        assert await page() == ("primary", 1)
        with pytest.raises(ReplicaBehind):
            await reports.reading.trial_balance(1, AsOf(sequence=1))
    async with asyncio.timeout(40):
        while (await page())[0] != "replica":
            await asyncio.sleep(0.1)
    watching.cancel()
    assert (await reports.reading.trial_balance(1, AsOf(sequence=1))).source.name == "replica"
