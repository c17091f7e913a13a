"""Pages: every walk sees everything once while two engines post, and each reads only what it shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from common.pg import Pool, create_pool
from common.testing import Database, examples, fresh_database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.domain.chart import Chart
from ledger.domain.refusals import NoSuchAccount
from ledger.replica import Sources
from ledger.service import Finding, Reading
from ledger.service.finding import EntryFilter, Place
from ledger.service.reading import AsOf
from ledger.store import accounts, finding, lists, statements
from ledger.store.finding import Span

from loadtests.journal import load
from services.ledger.tests.history import age
from services.ledger.tests.test_asof import posting
from services.ledger.tests.vocabulary import PRINCIPAL, Bank, connected, hold, open_bank, posted, release

EVERYTHING = EntryFilter()


@dataclass
class Library:
    """Two engines, and what reads the books beside them."""

    banks: list[Bank]
    reading: Reading
    finding: Finding
    chart: Chart
    pool: Pool

    async def walk(
        self, wanted: EntryFilter, *, limit: int = 7, newest_first: bool = False, at_most: int | None = None
    ) -> list[int]:
        """The sequences of all pages, in the order they came."""
        seen: list[int] = []
        after: Place | None = None
        while True:
            told = await self.finding.entries(
                1, self.chart, wanted, after=after, limit=limit, newest_first=newest_first
            )
            seen += [entry.sequence for entry in told.what.entries]
            after = told.what.next
            if after is None or (at_most and len(seen) >= at_most):
                return seen


@pytest.fixture
async def library(database: Database) -> AsyncIterator[Library]:
    async with AsyncExitStack() as stack:
        banks = [await open_bank(database, stack) for _ in range(2)]
        pool = await create_pool(
            database.dsn("ledger_posting"), min_size=1, max_size=4, application_name="test-reads"
        )
        stack.push_async_callback(pool.close)
        sources = Sources(pool)
        reading = Reading(sources)
        yield Library(banks, reading, Finding(sources, reading), banks[0].engine.chart, pool)


async def stored(library: Library, condition: str, *arguments: object) -> list[int]:
    """The sequences of the entries for which a plain condition holds."""
    async with connected(library.banks[0].database, "ledger_reader") as connection:
        rows = await connection.fetch(
            f"SELECT sequence FROM entry e WHERE ledger_id = 1 AND {condition} ORDER BY sequence", *arguments
        )
    return [row["sequence"] for row in rows]


OF_ACCOUNTS = """EXISTS (SELECT FROM posting p JOIN account a ON a.id = p.account_id
                          WHERE p.ledger_id = e.ledger_id AND p.sequence = e.sequence AND a.path LIKE $1)"""


async def test_walks_beside_posting_see_everything_once(library: Library) -> None:
    players = [await library.banks[n % 2].fund() for n in range(4)]
    market = str(uuid4())
    for n in range(30):
        command = replace(
            hold(players[n % 4], Decimal(1), market, uuid4()),
            metadata={"round": str(n % 3)},
            effective_at=datetime.now(UTC) - timedelta(minutes=n % 5),
        )
        assert posted(await library.banks[n % 2].engine.post(command))
    path = f"players/{players[0]}/available"
    prefix = f"players/{players[1]}/"
    ways: dict[str, tuple[EntryFilter, list[int]]] = {
        "all": (EVERYTHING, await stored(library, "true")),
        "kind": (EntryFilter(kind="bet.hold"), await stored(library, "kind = 'bet.hold'")),
        "reference": (
            EntryFilter(reference=f"markets/{market}"),
            await stored(library, "reference = $1", f"markets/{market}"),
        ),
        "metadata": (
            EntryFilter(metadata=("round", "1")),
            await stored(library, "metadata ->> 'round' = '1'"),
        ),
        "account": (EntryFilter(account=path), await stored(library, OF_ACCOUNTS, path)),
        "prefix": (EntryFilter(prefix=prefix), await stored(library, OF_ACCOUNTS, f"{prefix}%")),
        "effect": (
            EntryFilter(effective_from=datetime.now(UTC) - timedelta(days=1)),
            await stored(library, "true"),
        ),
    }
    assert len(ways["metadata"][1]) == 10
    done = asyncio.Event()
    writers = [asyncio.create_task(posting(library.banks[n % 2], players, done, n)) for n in range(6)]
    try:
        for name, (wanted, before) in ways.items():
            for newest_first in (False, True):
                most = len(before) + 60  # the writers outrun a walk that goes their way
                seen = await library.walk(wanted, newest_first=newest_first, at_most=most)
                assert len(seen) == len(set(seen)), name
                if name != "effect":
                    assert seen == sorted(seen, reverse=newest_first), name
                if newest_first or len(seen) < most:
                    missing = set(before) - set(seen)
                    assert not missing or (newest_first and len(seen) >= most), (name, missing)
                else:
                    assert set(before) <= set(seen) or name == "effect", name
    finally:
        done.set()
        await asyncio.gather(*writers)
    # The journal at rest: every walk is exactly what a plain query says, whichever way it goes.
    rest = {
        "all": await stored(library, "true"),
        "kind": await stored(library, "kind = 'bet.hold'"),
        "account": await stored(library, OF_ACCOUNTS, path),
        "prefix": await stored(library, OF_ACCOUNTS, f"{prefix}%"),
    }
    for name, expected in rest.items():
        assert await library.walk(ways[name][0], limit=50) == expected, name
        assert await library.walk(ways[name][0], limit=49, newest_first=True) == expected[::-1], name
    assert sorted(await library.walk(ways["effect"][0], limit=50)) == rest["all"]


async def test_a_range_of_posting_times_is_a_range_of_the_journal(library: Library) -> None:
    player = await library.banks[0].fund()
    await age(library.banks[0].database, timedelta(hours=2))
    middle = datetime.now(UTC) - timedelta(hours=1)
    for _ in range(3):
        assert posted(await library.banks[0].engine.post(hold(player, Decimal(1), str(uuid4()), uuid4())))
    assert await library.walk(EntryFilter(posted_to=middle)) == [1]
    assert await library.walk(EntryFilter(posted_from=middle)) == [2, 3, 4]
    assert await library.walk(EntryFilter(posted_from=middle, kind="deposit")) == []
    assert await library.walk(EntryFilter(posted_from=middle - timedelta(hours=2), posted_to=middle)) == [1]


async def test_an_entry_with_two_legs_on_an_account_is_found_once(library: Library) -> None:
    """Two chunks of the same account in one entry: the account's page shows the entry once."""
    bank = library.banks[0]
    player = await bank.fund()
    market, first, second = str(uuid4()), uuid4(), uuid4()
    one = hold(player, Decimal(3), market, first)
    both = replace(one, legs=(*one.legs, *hold(player, Decimal(4), market, second).legs))
    assert posted(await bank.engine.post(both))
    assert posted(await bank.engine.post(hold(player, Decimal(1), market, uuid4())))
    path = f"players/{player}/held"
    assert await library.walk(EntryFilter(account=path)) == [2, 3]
    assert await library.walk(EntryFilter(account=path), limit=1) == [2, 3], (
        "and it takes nobody's place on the page"
    )
    assert await library.walk(EntryFilter(account=path), limit=1, newest_first=True) == [3, 2]


@settings(
    max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    moves=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4000)), max_size=25), limit=st.integers(1, 9)
)
def test_a_statement_adds_up(moves: list[tuple[int, int]], limit: int) -> None:
    """Whatever is posted: each line's balance is the one before it and its amount, the last one is the balance."""
    asyncio.run(_statement_adds_up(moves, limit))


async def _statement_adds_up(moves: list[tuple[int, int]], limit: int) -> None:
    async with fresh_database("ledger") as database, AsyncExitStack() as stack:
        async with connected(database, "superuser") as connection:
            await connection.execute(
                "INSERT INTO principal (ledger_id, name, kinds) SELECT 1, $1, array_agg(name) FROM kind WHERE chart = "
                "'el-carril'",
                PRINCIPAL,
            )
        bank = await open_bank(database, stack)
        player, offers = await bank.fund("100.00"), [uuid4() for _ in range(3)]
        for offer, cents in moves:
            amount = Decimal(cents) / 100
            await bank.engine.post(hold(player, amount, "m", offers[offer]))
            await bank.engine.post(release(player, amount / 2, "m", offers[offer]))
        pool = await create_pool(
            database.dsn("ledger_posting"), min_size=1, max_size=2, application_name="test"
        )
        stack.push_async_callback(pool.close)
        reading = Reading(Sources(pool))
        for name in ("available", "held"):
            path = f"players/{player}/{name}"
            try:
                final, _ = await reading.balance(1, path, "MXN")
            except NoSuchAccount:
                assert name == "held"  # nothing was ever held
                continue
            balance, lines, after = Decimal(0), 0, None
            while True:
                page = (await reading.statement(1, path, "MXN", after=after, limit=limit)).what
                for line in page.lines:
                    balance += line.amount if line.side == page.account.side else -line.amount
                    lines += 1
                    assert (line.balance, line.account_sequence) == (balance, lines)
                    then, _ = await reading.balance(1, path, "MXN", AsOf(sequence=line.sequence))
                    assert then.sequence >= lines
                if not page.more:
                    break
                after = page.lines[-1].account_sequence
            assert (balance, lines) == (final.amount, final.sequence)


class Watched:
    """A connection that explains every query before it is run."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.plans: list[dict[str, Any]] = []

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        told = await self._connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments)
        self.plans.append(json.loads(told)[0]["Plan"])
        rows: list[asyncpg.Record] = await self._connection.fetch(query, *arguments)
        return rows


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


SPAN = Span(0, 10_000_000)
Query = Callable[[Any, accounts.AccountRow], Awaitable[object]]

PAGES: dict[str, Query] = {
    "all entries": lambda c, _: finding.all_entries(c, 1, SPAN, 100, newest_first=False),
    "all entries, newest first": lambda c, _: finding.all_entries(c, 1, SPAN, 100, newest_first=True),
    "a common kind": lambda c, _: finding.by_kind(c, 1, "bet.hold", SPAN, 100, newest_first=False),
    "a rare kind": lambda c, _: finding.by_kind(c, 1, "card.clear", SPAN, 100, newest_first=True),
    "a kind with nothing": lambda c, _: finding.by_kind(c, 1, "bet.match", SPAN, 100, newest_first=False),
    "a reference": lambda c, _: finding.by_reference(c, 1, "markets/7", SPAN, 100, newest_first=True),
    "metadata": lambda c, _: finding.by_metadata(c, 1, "round", "7", SPAN, 100, newest_first=False),
    "an account": lambda c, a: finding.by_accounts(c, [a], SPAN, 100, newest_first=True),
    "effective times": lambda c, _: finding.by_effect(
        c,
        1,
        (datetime.now(UTC) - timedelta(days=1), 0),
        (datetime.now(UTC), 0),
        100,
        newest_first=False,
    ),
    "a statement": lambda c, a: statements.statement(c, a, 10, 10_000, 100),
    "a statement, newest first": lambda c, a: statements.statement(c, a, 0, 10_000, 100, newest_first=True),
    "holds": lambda c, _: lists.holds(c, 1, UUID(int=0), 100),
    "holds on an account": lambda c, a: lists.holds_on(c, a, UUID(int=0), 100),
    "holds of a reference": lambda c, _: lists.holds_of(c, 1, "markets/7", UUID(int=0), 100),
    "refusals": lambda c, _: lists.refusals(c, 1, (datetime.now(UTC), UUID(int=0)), 100, newest_first=True),
    "accounts": lambda c, _: accounts.balances(c, 1, "players/", ("players/0000005", ""), 100),
    "accounts as of a sequence": lambda c, _: accounts.balances(c, 1, "players/", ("", ""), 100, at=9_000),
}

BOUNDED_SORTS = {"an account"}
"""Merging a few accounts' ranges sorts a page of each, and no more; each posting looks at the one before it."""


async def assert_sound_journal(connection: asyncpg.Connection) -> None:
    """What the loader wrote is a journal: or the plans would be of something else."""
    wrong = await connection.fetchval(
        """
        SELECT count(*) FROM (SELECT p.*, sum(amount) OVER w AS reached, row_number() OVER w AS n FROM posting p
                              WINDOW w AS (PARTITION BY account_id ORDER BY sequence, leg)) p
         WHERE balance <> reached OR account_sequence <> n
        """
    )
    assert wrong == 0
    assert await connection.fetchval(
        "SELECT count(*) = 0 FROM balance b WHERE (amount, sequence) <> "
        "(SELECT sum(amount), count(*) FROM posting p WHERE p.account_id = b.account_id)"
    )
    assert await connection.fetchval(
        "SELECT sequence = (SELECT max(sequence) FROM entry) FROM head WHERE ledger_id = 1"
    )


@pytest.mark.parametrize("role", ["ledger_posting", "ledger_reader"])
async def test_every_page_is_one_range_of_an_index(database: Database, role: str) -> None:
    """No scan of a table, no sort, no row read and thrown away: so a page costs the same at any size."""
    async with connected(database, "superuser") as connection:
        await load(connection, 20_000, accounts=600)
        await assert_sound_journal(connection)
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(
            """
            INSERT INTO hold (ledger_id, id, account_id, reference, opened, remaining)
            SELECT 1, gen_random_uuid(), (SELECT min(id) FROM account) + n % 600, 'markets/' || n % 400, 1, 1
              FROM generate_series(1, 20000) n
            """
        )
        await connection.execute(
            """
            INSERT INTO refusal (id, ledger_id, kind, principal, idempotency_key, fingerprint, reference, problem, refused_at)
            SELECT gen_random_uuid(), 1, 'bet.hold', 'x', n::text, sha256('x'), 'x', '{"slug": "x", "detail": "x"}',
                   now() - n * interval '1 second'
              FROM generate_series(1, 20000) n
            """
        )
        await connection.execute("ANALYZE")
    async with connected(database, role) as connection:
        (known,) = await accounts.accounts_under(connection, 1, "players/00000007", 1)
        for name, page in PAGES.items():
            watched = Watched(connection)
            await page(watched, known)
            (plan,) = watched.plans
            for node in nodes(plan):
                kind = node["Node Type"]
                where = (name, kind, node)
                assert kind not in ("Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"), where
                assert "Sort" not in kind or name in BOUNDED_SORTS, where
                assert node.get("Rows Removed by Filter", 0) <= (name in BOUNDED_SORTS), where
                assert node["Actual Rows"] * node["Actual Loops"] <= 250, where
