"""The books at the end of a day: what must hold, and each account's balance under a name that is the
same in every run of the same seed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
from contracts.topology import TEAMS, UNHEARD_QUEUE

from tools.stack.described import Stack

SERVICES = ("ledger", "betting", "identity", "payments")
DRAINED_WITHIN_SECONDS = 60.0


class UnsoundBooks(Exception):
    """An invariant of the day does not hold. The message says which and where."""


@dataclass(frozen=True, slots=True)
class Books:
    """Balances by stable name, as text on each account's normal side."""

    balances: Mapping[str, str]
    touched: tuple[str, ...]
    """The first words of the accounts that the day's own entries touch, whoever else has used the stack."""

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.balances, sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.balances, sort_keys=True, indent=1) + "\n", encoding="utf-8")


async def close_books(stack: Stack, players: Mapping[str, str], markets: Mapping[str, str]) -> Books:
    """Wait for the messages to drain, check every invariant, and return the books.

    `players` and `markets` map ids to stable names.

    Raises:
        UnsoundBooks: something is not as it must be.
    """
    await _drain(stack)
    connection = await asyncpg.connect(stack["dsn"]["ledger_reader"])
    try:
        await check_ledger(connection, [f"markets/{id}" for id in markets])
        balances = await _named_balances(connection, {**players, **markets})
        touched = await _touched(connection, [*players, *markets])
    finally:
        await connection.close()
    await _check_queues(stack)
    return Books(balances, touched)


async def _drain(stack: Stack) -> None:
    """Every outbox and every queue empty, or say which is not."""
    deadline = asyncio.get_running_loop().time() + DRAINED_WITHIN_SECONDS
    while True:
        waiting = await _outboxes(stack) | await _queues(stack, dead=False)
        if not waiting:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise UnsoundBooks(f"messages are still waiting: {waiting}")
        await asyncio.sleep(0.5)


async def _outboxes(stack: Stack) -> dict[str, int]:
    waiting = {}
    for service in SERVICES:
        connection = await asyncpg.connect(stack["dsn"][f"{service}_relay"])
        try:
            rows = await connection.fetchval("SELECT count(*) FROM outbox")
        finally:
            await connection.close()
        if rows:
            waiting[f"{service} outbox"] = rows
    return waiting


async def _queues(stack: Stack, *, dead: bool) -> dict[str, int]:
    """Queues that hold messages: the dead-letter ones, or all others that have a reader."""
    broker = stack["rabbitmq"]
    url = f"http://{broker['host']}:{broker['management']}/api/queues/{broker['vhost']}"
    auth = aiohttp.BasicAuth("admin", broker["users"]["admin"])
    async with aiohttp.ClientSession(auth=auth) as http, http.get(url) as answer:
        answer.raise_for_status()
        queues = await answer.json()
    return {
        queue["name"]: queue["messages"]
        for queue in queues
        if queue.get("messages")
        and queue["name"].endswith(".dead") == dead
        and queue["name"] != UNHEARD_QUEUE
        and queue["name"].partition(".")[0] not in (*TEAMS, "gateway")  # nobody waits for who only listens
    }


async def _check_queues(stack: Stack) -> None:
    dead = await _queues(stack, dead=True)
    if dead:
        raise UnsoundBooks(f"dead letters: {dead}")


_CHECKS = {
    "the trial balance is not zero": "SELECT sum(amount)::text FROM balance HAVING sum(amount) <> 0",
    "a balance is not the sum of its postings": """
        SELECT a.path FROM account a JOIN balance b ON b.account_id = a.id
          LEFT JOIN (SELECT account_id, sum(amount) AS amount, count(*) AS n FROM posting GROUP BY account_id) p
                 ON p.account_id = a.id
         WHERE b.amount <> coalesce(p.amount, 0) OR b.sequence <> coalesce(p.n, 0)""",
    "an entry does not balance": """
        SELECT p.sequence FROM posting p JOIN account a ON a.id = p.account_id
         GROUP BY p.ledger_id, p.sequence, a.currency HAVING sum(p.amount) <> 0""",
    "the sequence has gaps": """
        SELECT h.sequence FROM head h
         WHERE h.sequence <> (SELECT count(*) FROM entry e WHERE e.ledger_id = h.ledger_id)""",
    "an escrow is not zero": """
        SELECT a.path FROM account a JOIN balance b ON b.account_id = a.id
         WHERE a.class = 'market.escrow' AND b.amount <> 0""",
    "a hold has something remaining": """
        SELECT id FROM hold WHERE remaining <> 0
           AND (reference = ANY ($1::text[]) OR reference LIKE 'withdrawals/%')""",
    "a settlement is open": "SELECT reference FROM settlement WHERE state <> 'CLOSED'",
    "a player was credited without a receipt": """
        SELECT e.sequence FROM entry e WHERE e.kind = 'deposit'
           AND NOT EXISTS (SELECT FROM receipt_use u WHERE u.ledger_id = e.ledger_id AND u.sequence = e.sequence)""",
    "money inside is not what receipts brought less what went out": """
        SELECT 1 FROM posting p JOIN account a ON a.id = p.account_id
          LEFT JOIN receipt_use u ON u.ledger_id = p.ledger_id AND u.sequence = p.sequence
         WHERE a.class = 'bank'
        HAVING coalesce(sum(p.amount) FILTER (WHERE p.amount > 0 AND u.receipt_id IS NOT NULL), 0)
             + coalesce(sum(p.amount) FILTER (WHERE p.amount < 0), 0)
            <> (SELECT coalesce(sum(b.amount), 0) FROM balance b JOIN account c ON c.id = b.account_id WHERE c.class = 'bank')""",
    "receipts do not add up to the money that was booked by them": """
        WITH booked AS (
            SELECT e.kind AS purpose, a.currency, sum(p.amount) AS amount
              FROM entry e JOIN ledger l ON l.id = e.ledger_id
              JOIN kind k ON k.chart = l.chart AND k.name = e.kind AND k.receipt
              JOIN posting p ON p.ledger_id = e.ledger_id AND p.sequence = e.sequence AND p.amount > 0
              JOIN account a ON a.id = p.account_id
             WHERE a.path ~ '^(bank/|suspense/|fees/|psp/[^/]+/receivable$)'
             GROUP BY e.kind, a.currency),
        told AS (
            SELECT r.purpose, r.currency, sum(r.amount) AS amount FROM receipt r
             WHERE EXISTS (SELECT FROM entry e WHERE e.receipt = r.id) GROUP BY r.purpose, r.currency)
        SELECT purpose || ' ' || currency FROM booked FULL JOIN told USING (purpose, currency)
         WHERE booked.amount IS DISTINCT FROM told.amount ORDER BY 1""",
}
"""What is wrong, by the query whose rows are the places where it is. $1 are the day's own markets: a stack that
serves other tests too has other people's open offers. What a receipt's entry takes from outside is on the debit side of
a bank, a provider or suspense, whatever it pays for; that is what the receipt's purpose has to add up to."""


async def check_ledger(connection: asyncpg.Connection[asyncpg.Record], markets: list[str]) -> None:
    """Raises `UnsoundBooks`."""
    for wrong, query in _CHECKS.items():
        found = await connection.fetch(query, *([markets] if "$1" in query else []))
        if found:
            raise UnsoundBooks(f"{wrong}: {[row[0] for row in found[:5]]}")


async def _named_balances(
    connection: asyncpg.Connection[asyncpg.Record], names: Mapping[str, str]
) -> dict[str, str]:
    """Every account's balance, with ids replaced by the names they have in every run."""
    rows = await connection.fetch(
        """
        SELECT a.path, a.owner, round(b.amount * a.side, a.exponent)::text AS balance
          FROM account a JOIN balance b ON b.account_id = a.id ORDER BY a.path
        """
    )
    return {_named(row["path"], row["owner"], names): row["balance"] for row in rows}


async def _touched(connection: asyncpg.Connection[asyncpg.Record], owners: Sequence[str]) -> tuple[str, ...]:
    rows = await connection.fetch(
        """
        SELECT DISTINCT split_part(a.path, '/', 1) AS word
          FROM posting p JOIN account a ON a.id = p.account_id
         WHERE (p.ledger_id, p.sequence) IN (SELECT q.ledger_id, q.sequence FROM posting q
                                              JOIN account b ON b.id = q.account_id WHERE b.owner = ANY ($1::text[]))
         ORDER BY 1
        """,
        owners,
    )
    return tuple(row["word"] for row in rows)


def _named(path: str, owner: str | None, names: Mapping[str, str]) -> str:
    return path if owner is None else path.replace(owner, names.get(owner, owner))
