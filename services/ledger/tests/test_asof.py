"""Balances and trial balances as of any moment, while two engines post."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from common.errors import Invalid
from common.pg import create_pool
from common.testing import Database
from ledger.domain import refusals
from ledger.replica import Sources
from ledger.service import Reading
from ledger.service.reading import AsOf, TrialBalance

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

ZERO = Decimal(0)


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[Reading]:
    pool = await create_pool(
        database.dsn("ledger_posting"), min_size=1, max_size=4, application_name="test-reads"
    )
    try:
        yield Reading(Sources(pool))
    finally:
        await pool.close()


async def truth(database: Database, sequence: int) -> dict[tuple[str, str], Decimal]:
    """Signed totals by class and currency at that sequence, summed from the bare postings."""
    async with connected(database, "ledger_reader") as connection:
        rows = await connection.fetch(
            """
            SELECT a.class, a.currency, sum(p.amount) AS amount FROM posting p JOIN account a ON a.id = p.account_id
             WHERE p.ledger_id = 1 AND p.sequence <= $1 GROUP BY a.class, a.currency
            """,
            sequence,
        )
    return {(row["class"], row["currency"]): row["amount"] for row in rows if row["amount"]}


def totals(trial: TrialBalance) -> dict[tuple[str, str], Decimal]:
    return {(row.cls, row.currency): row.debit - row.credit for row in trial.rows if row.debit != row.credit}


async def posting(bank: Bank, players: Sequence[str], until: asyncio.Event, seed: int) -> None:
    """Hold and release without a pause until told to stop."""
    chance = random.Random(seed)
    while not until.is_set():
        player, market, offer = chance.choice(players), str(uuid4()), uuid4()
        if posted(await bank.engine.post(hold(player, Decimal(1), market, offer))):
            await bank.engine.post(release(player, Decimal(1), market, offer))


async def test_an_answer_about_a_moment_is_a_prefix_and_never_changes(database: Database) -> None:
    async with AsyncExitStack() as stack:
        banks = [await open_bank(database, stack) for _ in range(2)]
        reader = await stack.enter_async_context(reading(database))
        players = [await banks[0].fund() for _ in range(4)]
        done = asyncio.Event()
        writers = [asyncio.create_task(posting(banks[n % 2], players, done, n)) for n in range(8)]
        told: list[tuple[datetime, int, TrialBalance]] = []
        for _ in range(25):
            moment = datetime.now(UTC) - timedelta(milliseconds=random.choice((0, 1, 5, 20)))
            trial = (await reader.trial_balance(1, AsOf(moment=moment))).what
            told.append((moment, trial.sequence, trial))
        done.set()
        await asyncio.gather(*writers)

        for moment, sequence, trial in told:
            again = (await reader.trial_balance(1, AsOf(moment=moment))).what
            assert (again.sequence, totals(again)) == (sequence, totals(trial))
            assert totals(trial) == await truth(database, sequence)
            assert sum(totals(trial).values(), ZERO) == 0
            async with connected(database, "ledger_reader") as connection:
                last, following = await one_row(
                    connection,
                    "SELECT (SELECT max(posted_at) FROM entry WHERE sequence <= $1), "
                    "(SELECT min(posted_at) FROM entry WHERE sequence > $1)",
                    sequence,
                )
            assert last <= moment
            assert following is None or following > moment
        assert told[-1][1] > told[0][1]
        await banks[0].check()


async def test_a_settled_moment_sends_an_older_writer_back(database: Database) -> None:
    """A writer that took its time before a moment was answered may not post at or before it."""
    async with AsyncExitStack() as stack:
        bank = await open_bank(database, stack)
        player = await bank.fund()
        writer = await stack.enter_async_context(connected(database, "superuser"))
        head = await one_row(writer, "SELECT sequence FROM head WHERE ledger_id = 1")
        async with connected(database, "ledger_posting") as reader:
            moment = await reader.fetchval("SELECT clock_timestamp()")
            await asyncio.sleep(0.01)
            assert await reader.fetchval("SELECT settle_moment(1::smallint, $1)", moment) == head["sequence"]
        entry = """
            WITH e AS (INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint,
                                          reference, posted_at)
                       VALUES (1, $1, gen_random_uuid(), 'bet.hold', 2, 'tester', 'late', sha256('x'), 'markets/x', $2))
            INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance, hold)
            SELECT 1, $1, leg, a.id, b.sequence + 1, 1 * sign, b.amount + sign, CASE WHEN sign < 0 THEN gen_random_uuid() END
              FROM (VALUES (1, 'available', 1), (2, 'held', -1)) AS l (leg, name, sign)
              JOIN account a ON a.path = format('players/%s/%s', $3::text, name) JOIN balance b ON b.account_id = a.id
        """
        assert posted(
            await bank.engine.post(hold(player, Decimal(1), str(uuid4()), uuid4()))
        )  # opens the account
        async with connected(database, "ledger_posting") as late:
            with pytest.raises(Exception, match="older than a settled moment") as sent_back:
                await late.execute(entry, head["sequence"] + 2, moment, player)
            assert sent_back.value.sqlstate == "40001"  # type: ignore[attr-defined] # asyncpg's error
        await bank.check()


async def test_reading_a_moment_waits_for_a_writer_in_flight(database: Database) -> None:
    async with AsyncExitStack() as stack:
        bank = await open_bank(database, stack)
        player = await bank.fund()
        reader = await stack.enter_async_context(reading(database))
        writer = await stack.enter_async_context(connected(database, "superuser"))
        # A batch in flight: the head is locked and has moved, nothing is committed.
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("SELECT FROM head WHERE ledger_id = 1 FOR UPDATE")
        moment = datetime.now(UTC) - timedelta(seconds=1)
        asking = asyncio.create_task(reader.trial_balance(1, AsOf(moment=datetime.now(UTC))))
        done, _ = await asyncio.wait({asking}, timeout=1)
        assert not done, "it must wait for the writer"
        await transaction.rollback()
        assert (await asking).what.sequence == 1
        assert (await reader.trial_balance(1, AsOf(moment=moment))).what.sequence <= 1
        assert (await reader.balance(1, f"players/{player}/available", "MXN"))[0].amount == 100


async def test_a_class_that_was_opened_later_is_not_part_of_an_earlier_answer(bank: Bank) -> None:
    """Whether it is reached from the end of the journal or from its beginning, a moment's trial balance is the same rows."""
    player, _ = [await bank.fund("10.00") for _ in range(2)]
    await bank.engine.post(hold(player, Decimal(1), str(uuid4()), uuid4()))
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(reading(bank.database))
        backwards = (await reader.trial_balance(1, AsOf(sequence=2))).what.rows
        for _ in range(4):
            await bank.fund("10.00")
        assert (await reader.trial_balance(1, AsOf(sequence=2))).what.rows == backwards
        assert {row.cls for row in backwards} == {"bank", "player.available"}
        now = (await reader.trial_balance(1)).what
        assert (await reader.trial_balance(1, AsOf(sequence=now.sequence))).what == now


async def test_every_sequence_of_every_account(bank: Bank) -> None:
    """Balances at each sequence, for accounts open and not yet open, against the bare postings."""
    players = [await bank.fund("10.00") for _ in range(3)]
    for n in range(12):
        player, market, offer = players[n % 3], str(uuid4()), uuid4()
        await bank.engine.post(hold(player, Decimal(n % 4 + 1), market, offer))
        if n % 2:
            await bank.engine.post(release(player, Decimal(1), market, offer))
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(reading(bank.database))
        connection = await stack.enter_async_context(connected(bank.database, "ledger_reader"))
        end = (await one_row(connection, "SELECT sequence FROM head WHERE ledger_id = 1"))["sequence"]
        for sequence in range(end + 1):
            trial = (await reader.trial_balance(1, AsOf(sequence=sequence))).what
            assert totals(trial) == await truth(bank.database, sequence)
            expected = {
                row["path"]: row["balance"]
                for row in await connection.fetch(
                    "SELECT DISTINCT ON (path) path, p.balance * a.side AS balance "
                    "FROM posting p JOIN account a ON a.id = p.account_id "
                    "WHERE p.sequence <= $1 ORDER BY path, account_sequence DESC",
                    sequence,
                )
            }
            page = await reader.balances(1, "", ("", ""), 100, AsOf(sequence=sequence))
            assert {row.account: row.amount for row in page if row.sequence} == expected
            for path, balance in expected.items():
                assert (await reader.balance(1, path, "MXN", AsOf(sequence=sequence)))[0].amount == balance


async def test_what_has_not_come_and_what_never_was(bank: Bank) -> None:
    before = datetime.now(UTC)
    player = await bank.fund()
    path = f"players/{player}/available"
    async with reading(bank.database) as reader:
        for as_of, field in (
            (AsOf(sequence=2), "sequence"),
            (AsOf(moment=datetime.now(UTC) + timedelta(days=1)), "at"),
        ):
            with pytest.raises(Invalid) as refusal:
                await reader.balance(1, path, "MXN", as_of)
            assert refusal.value.field == field
        for as_of, field in ((AsOf(sequence=0), "sequence"), (AsOf(moment=before), "at")):
            with pytest.raises(refusals.NoSuchAccount) as missing:
                await reader.balance(1, path, "MXN", as_of)
            assert missing.value.field == field
        with pytest.raises(refusals.NoSuchAccount) as unknown:
            await reader.balance(1, path, "USD")
        assert unknown.value.field == "account"


async def test_a_clock_set_back_stops_nobody(bank: Bank) -> None:
    """The last batch lies in the future, as after a clock was corrected: posting goes on, in order."""
    player = await bank.fund()
    async with connected(bank.database, "superuser") as connection:
        await connection.execute("UPDATE head SET settled_at = now() + interval '1 hour'")
    for _ in range(3):
        answer = await bank.engine.post(hold(player, Decimal(1), str(uuid4()), uuid4()))
        assert posted(answer), refused(answer)
    async with connected(bank.database, "ledger_reader") as connection:
        times = await connection.fetch("SELECT posted_at FROM entry ORDER BY sequence")
    moments = [row["posted_at"] for row in times]
    assert moments == sorted(set(moments))
    await bank.check()
