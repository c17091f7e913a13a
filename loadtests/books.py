"""A ledger with the generic chart and many accounts with money, for measuring posts.

Its owner makes the ledger, as for any tenant; the money comes out of equity by `transfer`, through the front door.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from common.testing import Database

LEDGER = "load"
FUNDS = "1000000.00"
BATCH = 100


async def make_ledger(database: Database) -> None:
    """A ledger of its own. Processes see it when they start."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        await connection.execute("SET ROLE ledger_owner")
        await connection.execute("INSERT INTO ledger (id, name, chart) VALUES (20, $1, 'generic')", LEDGER)
    finally:
        await connection.close()


def account(number: int) -> str:
    """The path of one of the accounts."""
    return f"liabilities/account-{number:06}"


def transfer(debit: str, credit: str, amount: str, currency: str = "MXN") -> dict[str, Any]:
    """The body of one transfer."""
    return {
        "kind": "transfer",
        "reference": "loadtests/transfer",
        "postings": [
            {"account": debit, "side": "debit", "amount": amount, "currency": currency},
            {"account": credit, "side": "credit", "amount": amount, "currency": currency},
        ],
    }


async def fund(url: str, key: str, accounts: int) -> list[str]:
    """That many accounts with `FUNDS` each."""
    paths = [account(number) for number in range(accounts)]
    gate = asyncio.Semaphore(64)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:

        async def give(path: str) -> None:
            async with (
                gate,
                http.post(
                    f"{url}/v1/entries",
                    json=transfer("equity/opening", path, FUNDS),
                    headers={"Idempotency-Key": str(uuid4())},
                ) as answer,
            ):
                answer.raise_for_status()

        await asyncio.gather(*map(give, paths))
    return paths


async def preload(database: Database, entries: int, accounts: Sequence[str]) -> None:
    """That many entries more, of two postings each, made by the database itself: a journal of some age.

    They go through the same triggers as all others, some thousands at a time.
    """
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        await connection.execute("SET statement_timeout = 0; SET enable_seqscan = off; SET jit = off")
        for first in range(0, entries, 4_000):
            await connection.execute(_PRELOAD, min(4_000, entries - first), first, list(accounts))
            if first % 400_000 == 0:
                await connection.execute("DELETE FROM outbox")
                await connection.execute("VACUUM ANALYZE balance, entry, posting, head, outbox")
        await connection.execute("DELETE FROM outbox")
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def everything_sealed(database: Database) -> None:
    """Wait until a sealing process has sealed the journal to its end; 2.5 million entries take it minutes."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        while await connection.fetchval(_NOT_SEALED):
            await asyncio.sleep(0.5)
    finally:
        await connection.close()


_NOT_SEALED = """
SELECT sequence > coalesce((SELECT max(last) FROM seal WHERE ledger_id = 20), 0) FROM head WHERE ledger_id = 20
"""

_PRELOAD = """
WITH head AS (
    SELECT sequence, greatest(statement_timestamp(), settled_at + interval '1 microsecond') AS at
      FROM head WHERE ledger_id = 20 FOR UPDATE
), pair AS (
    SELECT head.sequence + n AS sequence, head.at, gen_random_uuid() AS id, leg,
           CASE leg WHEN 1 THEN 1 ELSE -1 END AS amount,
           ($3::text[])[1 + ((($2 + n)::bigint * 7919 + leg * (1 + ($2 + n) % 997)) % array_length($3, 1))::int] AS path
      FROM head, generate_series(1, $1) n, generate_series(1, 2) leg
), entries AS (
    INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference,
                       effective_at, posted_at)
    SELECT 20, sequence, id, 'transfer', 2, 'load', id::text, sha256(uuid_send(id)), 'loadtests/preload', at, at
      FROM pair WHERE leg = 1
)
INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance)
SELECT 20, p.sequence, p.leg, a.id, b.sequence + row_number() OVER upto, p.amount, b.amount + sum(p.amount) OVER upto
  FROM pair p
  JOIN account a ON a.ledger_id = 20 AND a.path = p.path AND a.currency = 'MXN'
  JOIN balance b ON b.account_id = a.id
WINDOW upto AS (PARTITION BY a.id ORDER BY p.sequence, p.leg)
"""
