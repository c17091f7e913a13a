"""A forger with every runtime role of the ledger, and books in use to attack: what the tests of attacks share."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from common.testing import Database

from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    Bank,
    assert_sound,
    connected,
    hold,
    one_row,
    open_bank,
    posted,
)

ROLES = ("ledger_posting", "ledger_receipts", "ledger_keys", "ledger_reader", "ledger_relay")

Line = tuple[str, str, UUID | None]
"""An account's path, a signed amount as SQL would write it, a hold."""


@dataclass
class Scene:
    """Two players with 100, one holding 40 for an offer in a market, and the roles' connections."""

    bank: Bank
    rich: str
    poor: str
    market: str
    offer: UUID
    at: dict[str, asyncpg.Connection]

    async def next_sequence(self) -> int:
        head = await one_row(self.at["ledger_reader"], "SELECT sequence FROM head WHERE ledger_id = 1")
        return int(head["sequence"]) + 1

    async def forge(self, kind: str, lines: list[Line], **columns: object) -> str:
        """Write an entry as the posting role would, with true balances; returns the rule that refused it."""
        posting = self.at["ledger_posting"]
        for path, _, _ in lines:
            try:
                await posting.execute(
                    "INSERT INTO account (ledger_id, path, currency) VALUES (1, $1, 'MXN') ON CONFLICT DO NOTHING",
                    path,
                )
            except asyncpg.CheckViolationError as refusal:
                return str(refusal.constraint_name)
        sequence = await self.next_sequence()
        values = {
            "sequence": sequence,
            "id": uuid4(),
            "kind": kind,
            "legs": len(lines),
            "principal": PRINCIPAL,
            "idempotency_key": uuid4().hex,
            "fingerprint": hashlib.sha256(b"x").digest(),
            "reference": f"markets/{self.market}",
            **columns,
        }
        names = ", ".join(values)
        marks = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        rows = []
        for leg, (path, amount, held) in enumerate(lines, 1):
            state = await one_row(
                posting,
                "SELECT id, amount, sequence FROM account JOIN balance ON account_id = id WHERE path = $1",
                path,
            )
            try:
                after = str(state["amount"] + Decimal(amount))
            except (ArithmeticError, ValueError):
                after = amount
            hold_text = f"'{held}'::uuid" if held else "NULL::uuid"
            rows.append(
                f"(1, {sequence}, {leg}, {state['id']}, {state['sequence'] + 1}, '{amount}'::numeric, "
                f"'{after}'::numeric, {hold_text})"
            )
        try:
            await posting.execute(
                f"WITH e AS (INSERT INTO entry (ledger_id, {names}) VALUES (1, {marks})) "
                f"INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance, hold) "
                f"VALUES {', '.join(rows)}",
                *values.values(),
            )
        except asyncpg.PostgresError as refusal:
            return str(refusal.constraint_name or refusal.sqlstate)
        return "posted"


@asynccontextmanager
async def open_scene(database: Database) -> AsyncIterator[Scene]:
    """Two players with 100, one holding 40; the books are sound afterwards, whatever was tried."""
    async with AsyncExitStack() as stack:
        bank = await open_bank(database, stack)
        rich, poor, market, offer = await bank.fund(), await bank.fund(), str(uuid4()), uuid4()
        assert posted(await bank.engine.post(hold(rich, Decimal(40), market, offer)))
        at = {role: await stack.enter_async_context(connected(database, role)) for role in ROLES}
        yield Scene(bank, rich, poor, market, offer, at)
        async with connected(database, "superuser") as connection:
            await assert_sound(connection)


@pytest.fixture
async def scene(database: Database) -> AsyncIterator[Scene]:
    async with open_scene(database) as opened:
        yield opened


def available(player: str) -> str:
    return f"players/{player}/available"


def held(player: str) -> str:
    return f"players/{player}/held"
