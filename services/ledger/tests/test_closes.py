"""Daily and monthly closes: what they say, that they stay, and who may run them when."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from common.pg import create_pool, transaction
from common.testing import Database
from contracts.envelope import Envelope
from contracts.ledger import DayClosed, MonthClosed
from ledger.domain.closes import Close, ClosedBalance, Period, Proof, Total
from ledger.service.closing import Closing
from ledger.store import closes

from services.ledger.tests.history import age
from services.ledger.tests.vocabulary import (
    Bank,
    connected,
    hold,
    one_row,
    open_bank,
    posted,
    refused,
    release,
)

DAY = timedelta(days=1)


@asynccontextmanager
async def closing(database: Database) -> AsyncIterator[Closing]:
    pool = await create_pool(
        database.dsn("ledger_closer"), min_size=1, max_size=2, application_name="test-close"
    )
    try:
        yield Closing(pool)
    finally:
        await pool.close()


async def close_all(database: Database, until: date | None = None) -> list[tuple[Period, date, bool]]:
    async with closing(database) as closer:
        return [
            (closed.close.period, closed.close.starts_on, closed.here)
            async for closed in closer.close_due(1, until)
        ]


async def read(
    database: Database, period: Period, starts_on: date
) -> tuple[Close, list[Total], list[Proof], list[ClosedBalance]]:
    pool = await create_pool(
        database.dsn("ledger_reader"), min_size=1, max_size=1, application_name="test-reader"
    )
    try:
        async with transaction(pool, readonly=True) as connection:
            close = await closes.close_of(connection, 1, period, starts_on)
            assert close is not None
            totals = await closes.totals(connection, 1, period, starts_on)
            proofs = await closes.proofs(connection, 1, period, starts_on)
            balances, _ = await closes.closed_balances(connection, 1, period, starts_on, 0, 1_000)
            return close, list(totals), list(proofs), list(balances)
    finally:
        await pool.close()


async def local_day(database: Database, moment: datetime) -> date:
    async with connected(database, "ledger_reader") as connection:
        day: date = await connection.fetchval(
            "SELECT ($1::timestamptz AT TIME ZONE zone)::date FROM ledger WHERE id = 1", moment
        )
        return day


def figures(amounts: dict[str, tuple[Decimal, ...]]) -> dict[str, tuple[int, ...]]:
    """Whole amounts, as the tests write them."""
    assert all(amount == int(amount) for each in amounts.values() for amount in each)
    return {name: tuple(int(amount) for amount in each) for name, each in amounts.items()}


async def three_days(bank: Bank) -> tuple[str, str]:
    """Two players who deposit three days ago, hold two days ago and release yesterday; and a post today."""
    one, other = await bank.fund("100.00"), await bank.fund("50.00")
    await age(bank.database, DAY)
    market, offer = str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(one, Decimal(30), market, offer)))
    await age(bank.database, DAY)
    assert posted(await bank.engine.post(release(one, Decimal(30), market, offer)))
    await age(bank.database, DAY)
    assert posted(await bank.engine.post(hold(other, Decimal(5), market, uuid4())))
    return one, other


async def test_each_day_is_closed_as_it_was(bank: Bank) -> None:
    one, other = await three_days(bank)
    today = await local_day(bank.database, datetime.now(UTC))
    days = [today - n * DAY for n in (3, 2, 1)]
    assert [(day, here) for period, day, here in await close_all(bank.database) if period == "day"] == [
        (day, True) for day in days
    ]

    first, totals, (proof,), balances = await read(bank.database, "day", days[0])
    assert (first.sequence, first.entries, first.late) == (2, 2, 0)
    assert figures({total.cls: (total.opening, total.closing) for total in totals}) == {
        "bank": (0, 150),
        "player.available": (0, -150),
    }
    assert proof.covered
    assert figures({"MXN": (proof.money, proof.owed)}) == {"MXN": (150, 150)}

    _, totals, _, balances = await read(bank.database, "day", days[1])
    assert figures({each.account: (each.debit, each.credit, each.balance) for each in balances}) == {
        "bank/spei": (0, 0, 150),
        f"players/{one}/available": (30, 0, 70),
        f"players/{one}/held": (0, 30, 30),
        f"players/{other}/available": (0, 0, 50),
    }
    assert sum(total.closing for total in totals) == 0

    last, totals, _, balances = await read(bank.database, "day", days[2])
    assert last.sequence == 4
    assert {balance.account: balance.balance for balance in balances} == {
        "bank/spei": 150,
        f"players/{one}/available": 100,
        f"players/{one}/held": 0,
        f"players/{other}/available": 50,
    }
    assert await close_all(bank.database) == [], "twice is once"


async def test_a_closed_day_is_told(bank: Bank) -> None:
    await three_days(bank)
    await close_all(bank.database)
    async with connected(bank.database, "ledger_relay") as connection:
        rows = await connection.fetch(
            "SELECT body FROM outbox WHERE routing_key = 'ledger.day.closed.v1' ORDER BY id"
        )
    told = [Envelope.model_validate_json(row["body"]) for row in rows]
    events = [envelope.read(DayClosed) for envelope in told]
    assert [event.sequence for event in events] == [2, 3, 4]
    assert told[0].subject == "ledgers/el-carril"
    assert (events[0].ledger, events[0].entries) == ("el-carril", 2)
    (proof,) = events[0].proofs
    assert (proof.currency, proof.money, proof.owed, proof.covered) == ("MXN", "150.00", "150.00", True)


async def test_a_month_is_its_days(bank: Bank) -> None:
    one = await bank.fund("100.00")
    today = await local_day(bank.database, datetime.now(UTC))
    first_of_month = today.replace(day=1)
    await age(bank.database, (today - (first_of_month - 2 * DAY)))  # two days before this month
    market, offer = str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(one, Decimal(30), market, offer)))
    closed = await close_all(bank.database)
    days = (today - (first_of_month - 2 * DAY)).days
    last_month = (first_of_month - DAY).replace(day=1)
    assert closed[-1] == ("month", last_month, True)
    assert len(closed) == days + 1
    month, totals, (proof,), balances = await read(bank.database, "month", last_month)
    assert (month.sequence, month.entries) == (1, 1)
    assert figures({total.cls: (total.debit, total.credit) for total in totals}) == {
        "bank": (100, 0),
        "player.available": (0, 100),
    }
    assert proof.covered
    assert {balance.account: balance.balance for balance in balances} == {
        "bank/spei": 100,
        f"players/{one}/available": 100,
    }
    async with connected(bank.database, "ledger_relay") as connection:
        body = await connection.fetchval(
            "SELECT body FROM outbox WHERE routing_key = 'ledger.month.closed.v1'"
        )
    assert Envelope.model_validate_json(body).read(MonthClosed).starts_on == last_month


async def test_what_comes_late_goes_to_the_open_day(bank: Bank) -> None:
    player = await bank.fund("100.00")
    await age(bank.database, 2 * DAY)
    market = str(uuid4())
    # Before the close an entry may still take effect the day before yesterday; it is booked in the open day.
    early = replace(
        hold(player, Decimal(1), market, uuid4()),
        effective_at=datetime.now(UTC) - timedelta(days=1, hours=23),
    )
    assert posted(await bank.engine.post(early))
    await age(bank.database, timedelta(0))
    await close_all(bank.database)
    late = replace(hold(player, Decimal(1), market, uuid4()), effective_at=datetime.now(UTC) - 2 * DAY)
    assert refused(await bank.engine.post(late)) == "period-closed"
    again = await bank.engine.post(late)
    assert (refused(again), again.replayed) == ("period-closed", True)
    async with connected(bank.database, "ledger_reader") as connection:
        until = await connection.fetchval("SELECT closed_until FROM head WHERE ledger_id = 1")
    on_the_edge = replace(hold(player, Decimal(1), market, uuid4()), effective_at=until)
    just_before = replace(
        hold(player, Decimal(1), market, uuid4()), effective_at=until - timedelta(microseconds=1)
    )
    assert posted(await bank.engine.post(on_the_edge))
    assert refused(await bank.engine.post(just_before)) == "period-closed"
    await bank.check()


async def test_the_database_too_refuses_to_change_a_closed_day(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = await bank.fund("100.00")
    await age(bank.database, 2 * DAY)
    await close_all(bank.database)
    monkeypatch.setattr("ledger.domain.decide._check_effect", lambda *_: None)
    late = replace(hold(player, Decimal(1), str(uuid4()), uuid4()), effective_at=datetime.now(UTC) - 2 * DAY)
    answer = await bank.engine.post(late)
    assert refused(answer) == "refused-by-database"
    assert answer.outcome.extra["rule"] == "entry_effective_in_open_day"  # type: ignore[union-attr] # a refusal
    await bank.check()


ROOMS = ("period_close", "close_balance", "close_total", "close_proof")
ROLES = ("ledger_posting", "ledger_receipts", "ledger_keys", "ledger_reader", "ledger_relay", "ledger_closer")


@pytest.mark.parametrize("room", ROOMS)
async def test_no_role_writes_or_changes_a_close(bank: Bank, room: str) -> None:
    await three_days(bank)
    await close_all(bank.database)
    for role in (*ROLES, "superuser"):
        async with connected(bank.database, role) as connection:
            for attack in (
                f"UPDATE {room} SET starts_on = starts_on",
                f"DELETE FROM {room}",
                f"TRUNCATE {room} CASCADE",
            ):
                with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.CheckViolationError)):
                    await connection.execute(attack)
            if role != "superuser":
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(f"INSERT INTO {room} (ledger_id) VALUES (1)")


async def test_only_the_closer_closes_and_only_what_is_over(bank: Bank) -> None:
    await three_days(bank)
    today = await local_day(bank.database, datetime.now(UTC))
    close = "SELECT close_period(1::smallint, 'day', $1)"
    for role in ROLES:
        if role == "ledger_closer":
            continue
        async with connected(bank.database, role) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetchval(close, today - 3 * DAY)
    async with connected(bank.database, "ledger_closer") as connection:
        for day, rule in ((today - 2 * DAY, "closes_follow_each_other"), (today, "closes_follow_each_other")):
            with pytest.raises(asyncpg.CheckViolationError) as refusal:
                await connection.fetchval(close, day)
            assert refusal.value.constraint_name == rule
    await close_all(bank.database)
    async with connected(bank.database, "ledger_closer") as connection:
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await connection.fetchval(close, today)
        assert refusal.value.constraint_name == "close_is_settled"


async def test_money_that_is_missing_is_shown_and_paged(bank: Bank) -> None:
    """The proof can fail: half the bank's money is written off behind the ledger's back."""
    await bank.fund("100.00")
    await age(bank.database, DAY)
    async with connected(bank.database, "superuser") as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "INSERT INTO account (ledger_id, path, currency, class, side, floored, requires_hold, exponent) "
            "VALUES (1, 'losses/theft', 'MXN', 'fees', 1, true, false, 2)"
        )
        await connection.execute(
            "INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference, "
            "posted_at, effective_at) SELECT 1, 2, gen_random_uuid(), 'x', 2, 'x', 'x', sha256('x'), 'x', "
            "posted_at, effective_at FROM entry"
        )
        await connection.execute(
            "INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance) "
            "SELECT 1, 2, 1, id, 1, 60, 60 FROM account WHERE path = 'losses/theft' UNION ALL "
            "SELECT 1, 2, 2, id, 2, -60, 40 FROM account WHERE path = 'bank/spei'"
        )
        await connection.execute("UPDATE head SET sequence = 2 WHERE ledger_id = 1")
    status, told = await run_close(bank.database)
    assert status == 2, told
    assert "40.00 MXN" in told
    assert "NO" in told


async def run_close(database: Database, *arguments: str, kill_after: float | None = None) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "close", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"DATABASE_DSN": database.dsn("ledger_closer"), "COLUMNS": "200"},
    )  # fmt: skip
    if kill_after is not None:
        await asyncio.sleep(kill_after)
        process.kill()
    told, _ = await process.communicate()
    return process.returncode or 0, told.decode()


async def test_four_processes_at_once_while_two_engines_post(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = [await open_bank(database, stack) for _ in range(2)]
        player = await banks[0].fund("100.00")
        await age(database, 6 * DAY)
        posting = [
            asyncio.create_task(banks[n % 2].engine.post(hold(player, Decimal(1), str(uuid4()), uuid4())))
            for n in range(60)
        ]
        runs = await asyncio.gather(*(run_close(database, "--ledger", "el-carril") for _ in range(4)))
        assert all(posted(answer) for answer in await asyncio.gather(*posting))
        assert {status for status, _ in runs} == {0}, runs
        today = await local_day(database, datetime.now(UTC))
        async with connected(database, "ledger_reader") as connection:
            rows = await connection.fetch(
                "SELECT starts_on, entries FROM period_close WHERE period = 'day' ORDER BY starts_on"
            )
        assert [row["starts_on"] for row in rows] == [today - n * DAY for n in range(6, 0, -1)]
        assert [row["entries"] for row in rows] == [1, 0, 0, 0, 0, 0]
        async with connected(database, "ledger_relay") as connection:
            events = await connection.fetchval(
                "SELECT count(*) FROM outbox WHERE routing_key = 'ledger.day.closed.v1'"
            )
        assert events == 6
        await banks[0].check()


async def test_one_closes_and_the_others_who_come_meanwhile_see_that_it_is_done(bank: Bank) -> None:
    await three_days(bank)
    today = await local_day(bank.database, datetime.now(UTC))
    async with AsyncExitStack() as stack:
        closers = [
            await stack.enter_async_context(connected(bank.database, "ledger_closer")) for _ in range(4)
        ]
        gate = await stack.enter_async_context(connected(bank.database, "superuser"))
        watcher = await stack.enter_async_context(connected(bank.database, "superuser"))
        held = gate.transaction()
        await held.start()
        await gate.execute("UPDATE head SET settled_at = settled_at WHERE ledger_id = 1")
        running = [
            asyncio.create_task(
                closer.fetchval("SELECT close_period(1::smallint, 'day', $1)", today - 3 * DAY)
            )
            for closer in closers
        ]
        async with asyncio.timeout(
            20
        ):  # one of them has written everything but the head; the others wait for it
            while await watcher.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                                         "AND datname = current_database()") < 4:  # fmt: skip
                await asyncio.sleep(0.05)
        await held.rollback()
        assert sorted(await asyncio.gather(*running)) == [False, False, False, True]
    assert [day for period, day, _ in await close_all(bank.database) if period == "day"] == [
        today - 2 * DAY,
        today - DAY,
    ]


async def test_a_crash_in_mid_close_leaves_the_day_open_as_a_whole(bank: Bank) -> None:
    await three_days(bank)
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(connected(bank.database, "superuser"))
        held = gate.transaction()
        await held.start()
        # The close's last step waits for the head, with everything else already written in its transaction.
        await gate.execute("UPDATE head SET settled_at = now() WHERE ledger_id = 1")
        running = asyncio.create_task(run_close(bank.database, kill_after=None))
        watcher = await stack.enter_async_context(connected(bank.database, "superuser"))
        async with asyncio.timeout(20):
            while not (
                pid := await watcher.fetchval(
                    "SELECT pid FROM pg_stat_activity WHERE application_name = 'ledger-close' AND wait_event_type = 'Lock'"
                )
            ):
                await asyncio.sleep(0.05)
        await watcher.execute("SELECT pg_terminate_backend($1)", pid)
        status, told = await running
        assert status != 0, told
        await held.rollback()
        for room in ROOMS:
            assert await watcher.fetchval(f"SELECT count(*) FROM {room}") == 0
        head = await one_row(watcher, "SELECT closed_until FROM head WHERE ledger_id = 1")
        assert head["closed_until"].year == 1
    assert [day for period, day, _ in await close_all(bank.database) if period == "day"] != []
    await bank.check()


async def test_every_class_is_counted_or_the_houses_own(database: Database) -> None:
    """A class added to the chart is owed to somebody, is money, or is the house's: nothing is forgotten."""
    async with connected(database, "ledger_reader") as connection:
        rows = await connection.fetch(
            "SELECT name, side, segregation FROM account_class WHERE chart = 'el-carril' ORDER BY name"
        )
    counted = {row["name"]: row["segregation"] for row in rows}
    assert counted["bank"] == "money"
    assert counted["psp.receivable"] == "money"
    assert all(
        counted[row["name"]] == "owed"
        for row in rows
        if row["side"] == "credit" and not row["name"].startswith("house")
    )
    assert not any(counted[name] for name in counted if name.startswith("house"))
