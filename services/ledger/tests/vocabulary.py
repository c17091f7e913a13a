"""What the ledger's tests say: a bank on a throw-away database, and the commands they post."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from uuid import UUID, uuid4

import asyncpg
from common.pg import Pool, create_pool
from common.testing import Database
from ledger.domain.commands import Command, Leg, SettlementPart
from ledger.engine import PostingEngine
from ledger.engine.batch import WRONG_MEMORIES, Answer
from ledger.store.books import lock_head
from ledger.store.chart import load_chart

PRINCIPAL = "tester"
_numbers = count(1)


@asynccontextmanager
async def connected(database: Database, role: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as one of the ledger's roles, or as the superuser."""
    dsn = database.superuser_dsn if role == "superuser" else database.dsn(role)
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def locked(database: Database, ledger: int, release: asyncio.Event) -> AsyncIterator[None]:
    """The ledger's head held by a transaction of its own until `release` is set, or the block ends."""

    async def hold(held: asyncio.Event) -> None:
        async with connected(database, "superuser") as connection, connection.transaction():
            await lock_head(connection, ledger)
            held.set()
            await release.wait()

    held = asyncio.Event()
    holding = asyncio.create_task(hold(held))
    await held.wait()
    try:
        yield
    finally:
        release.set()
        await holding


@dataclass
class Bank:
    """One engine on the database, and the commands a test posts through it."""

    database: Database
    pool: Pool
    engine: PostingEngine
    players: dict[str, Decimal] = field(default_factory=dict)

    async def receipt(self, player: str, amount: Decimal, currency: str = "MXN") -> UUID:
        """A receipt as the receipts process stores it."""
        id = uuid4()
        async with connected(self.database, "ledger_receipts") as connection:
            await connection.execute(
                """
                INSERT INTO receipt (id, ledger_id, rail, tracking_key, document_sha256, purpose, account, amount, currency,
                                     occurred_at, key_id, attestation, signature)
                VALUES ($1, 1, 'spei', $2, sha256($2::text::bytea), 'deposit', $3, $4, $5, now(), 'k', 'x',
                        decode(repeat('00', 64), 'hex'))
                """,
                id,
                f"K{id.hex.upper()}",
                f"players/{player}/available",
                amount,
                currency,
            )
        return id

    async def fund(self, amount: str = "100.00") -> str:
        """A new player with money."""
        player = str(uuid4())
        receipt = await self.receipt(player, Decimal(amount))
        answer = await self.engine.post(deposit(player, Decimal(amount), receipt))
        assert posted(answer), answer
        return player

    async def balances(self) -> dict[str, Decimal]:
        """Every account's signed balance, debit positive."""
        async with connected(self.database, "ledger_reader") as connection:
            rows = await connection.fetch("SELECT path, amount FROM account JOIN balance ON account_id = id")
        return {row["path"]: row["amount"] for row in rows}

    async def check(self) -> None:
        """The books are sound: zero in all, gapless, every balance the sum of its postings."""
        async with connected(self.database, "ledger_reader") as connection:
            await assert_sound(connection)


async def one_row(connection: asyncpg.Connection, query: str, *arguments: object) -> asyncpg.Record:
    """The first row of what must have one."""
    row = await connection.fetchrow(query, *arguments)
    assert row is not None
    return row


async def assert_sound(connection: asyncpg.Connection) -> None:
    assert await connection.fetchval("SELECT coalesce(sum(amount), 0) FROM balance") == 0
    assert not await connection.fetch(
        """
        SELECT a.path FROM account a JOIN balance b ON b.account_id = a.id
         WHERE b.amount <> coalesce((SELECT sum(amount) FROM posting p WHERE p.account_id = a.id), 0)
            OR b.sequence <> (SELECT count(*) FROM posting p WHERE p.account_id = a.id)
        """
    )
    assert not await connection.fetch(
        """
        SELECT sequence FROM posting p JOIN account ON id = account_id
         GROUP BY p.ledger_id, sequence, currency HAVING sum(amount) <> 0
        """
    )
    assert not await connection.fetch(
        """
        SELECT h.ledger_id FROM head h LEFT JOIN entry e ON e.ledger_id = h.ledger_id
         GROUP BY h.ledger_id, h.sequence
        HAVING h.sequence <> count(e.sequence) OR h.sequence <> coalesce(max(e.sequence), 0)
        """
    )
    assert not await connection.fetch(
        """
        SELECT h.id FROM hold h
         WHERE h.remaining <> (SELECT -sum(amount) FROM posting p WHERE p.hold = h.id AND p.ledger_id = h.ledger_id)
        """
    )
    held = await connection.fetchval(
        "SELECT coalesce(sum(-b.amount), 0) FROM balance b JOIN account a ON a.id = b.account_id WHERE a.requires_hold"
    )
    assert held == await connection.fetchval("SELECT coalesce(sum(remaining), 0) FROM hold")


async def open_bank(database: Database, stack: AsyncExitStack, *, connections: int = 3) -> Bank:
    """Another engine on the same database, as a second ledger process would be."""
    dsn = database.dsn("ledger_posting")
    pool = await create_pool(dsn, min_size=1, max_size=connections, application_name="test")
    stack.push_async_callback(pool.close)
    async with pool.acquire() as connection:
        chart = await load_chart(connection, 1)
    engine = PostingEngine(pool, 1, chart)
    engine.start()
    stack.push_async_callback(engine.close)
    return Bank(database, pool, engine)


def posted(answer: Answer) -> bool:
    return hasattr(answer.outcome, "legs")


def refused(answer: Answer) -> str:
    """The slug of a refusal, stored or not."""
    why = getattr(answer.outcome, "why", answer.outcome)
    return str(getattr(why, "slug", "posted"))


def wrong_memories(why: str) -> float:
    """How often an engine of this process has had to decide again under the lock, and why."""
    return float(WRONG_MEMORIES.labels(why)._value.get())


def a_key() -> str:
    return f"key-{next(_numbers)}"


def deposit(player: str, amount: Decimal, receipt: UUID | None, key: str | None = None) -> Command:
    legs = (Leg("bank/spei", "MXN", amount), Leg(f"players/{player}/available", "MXN", -amount))
    return Command(1, PRINCIPAL, key or a_key(), "deposit", legs, f"deposits/{player}", receipt=receipt)


def hold(player: str, amount: Decimal, market: str, offer: UUID, key: str | None = None) -> Command:
    legs = (
        Leg(f"players/{player}/available", "MXN", amount),
        Leg(f"players/{player}/held", "MXN", -amount, offer),
    )
    return Command(1, PRINCIPAL, key or a_key(), "bet.hold", legs, f"markets/{market}")


def release(player: str, amount: Decimal, market: str, offer: UUID, key: str | None = None) -> Command:
    legs = (
        Leg(f"players/{player}/held", "MXN", amount, offer),
        Leg(f"players/{player}/available", "MXN", -amount),
    )
    return Command(1, PRINCIPAL, key or a_key(), "bet.release", legs, f"markets/{market}")


def match(
    market: str,
    one: tuple[str, UUID, Decimal],
    other: tuple[str, UUID, Decimal],
    key: str | None = None,
) -> Command:
    """Both stakes into the escrow; each side is (player, offer, stake)."""
    legs = tuple(Leg(f"players/{player}/held", "MXN", stake, offer) for player, offer, stake in (one, other))
    pot = Leg(f"markets/{market}/escrow", "MXN", -(one[2] + other[2]))
    return Command(1, PRINCIPAL, key or a_key(), "bet.match", (*legs, pot), f"markets/{market}")


def settle(
    market: str,
    payouts: dict[str, Decimal],
    *,
    total: Decimal | None = None,
    chunk: int = 1,
    chunks: int = 1,
    version: int = 1,
    kind: str = "bet.settle",
    key: str | None = None,
) -> Command:
    """Pay accounts (by path) out of the market's escrow."""
    paid = sum(payouts.values(), Decimal(0))
    legs = (
        Leg(f"markets/{market}/escrow", "MXN", paid),
        *(Leg(path, "MXN", -amount) for path, amount in payouts.items()),
    )
    part = SettlementPart(UUID(market), version, total if total is not None else paid, chunk, chunks)
    return Command(1, PRINCIPAL, key or a_key(), kind, legs, f"markets/{market}", settlement=part)
