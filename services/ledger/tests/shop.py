"""A tenant with a generic chart, on the tests' database: a ledger of its own for whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from common.pg import Pool, create_pool
from common.testing import Database
from ledger.domain.commands import Command, Leg
from ledger.engine import PostingEngine
from ledger.store.chart import load_chart

from services.ledger.tests.door import Door, Json, open_door
from services.ledger.tests.vocabulary import PRINCIPAL, a_key, connected

CASH, OWN, FEES, RENT = "assets/cash", "equity/own", "income/fees", "expenses/rent"
_ledgers = count(2)


@dataclass
class Shop:
    """One engine on a tenant's ledger."""

    database: Database
    ledger: int
    pool: Pool
    engine: PostingEngine

    def transfer(
        self,
        debit: str,
        credit: str,
        amount: str | Decimal,
        currency: str = "USD",
        *,
        key: str | None = None,
        reference: str = "orders/1",
        effective_at: datetime | None = None,
    ) -> Command:
        legs = (Leg(debit, currency, Decimal(amount)), Leg(credit, currency, -Decimal(amount)))
        return Command(
            self.ledger, PRINCIPAL, key or a_key(), "transfer", legs, reference, effective_at=effective_at
        )

    def hold(
        self,
        account: str,
        amount: str | Decimal,
        hold: UUID,
        currency: str = "USD",
        *,
        key: str | None = None,
        reference: str = "orders/1",
        expires_at: datetime | None = None,
    ) -> Command:
        legs = (
            Leg(account, currency, Decimal(amount)),
            Leg(f"held/{account}", currency, -Decimal(amount), hold),
        )
        return Command(
            self.ledger, PRINCIPAL, key or a_key(), "hold.open", legs, reference, expires_at=expires_at
        )

    def capture(
        self,
        account: str,
        amount: str | Decimal,
        hold: UUID,
        to: str = FEES,
        currency: str = "USD",
        *,
        kind: str = "hold.capture",
        key: str | None = None,
        reference: str = "orders/1",
    ) -> Command:
        legs = (Leg(f"held/{account}", currency, Decimal(amount), hold), Leg(to, currency, -Decimal(amount)))
        return Command(self.ledger, PRINCIPAL, key or a_key(), kind, legs, reference)

    def release(self, hold: UUID, *, key: str | None = None, reference: str = "orders/1") -> Command:
        """All that remains."""
        return Command(self.ledger, PRINCIPAL, key or a_key(), "hold.release", (), reference, drains=hold)

    def reversal(self, entry: UUID, *, key: str | None = None, reference: str = "orders/1") -> Command:
        return Command(self.ledger, PRINCIPAL, key or a_key(), "reversal", (), reference, reverses=entry)

    async def balances(self) -> dict[tuple[str, str], Decimal]:
        """Every account's balance, positive on its normal side."""
        async with connected(self.database, "ledger_reader") as connection:
            rows = await connection.fetch(
                "SELECT path, currency, amount * a.side AS amount FROM account a JOIN balance ON account_id = id"
                " WHERE ledger_id = $1",
                self.ledger,
            )
        return {(row["path"], row["currency"]): row["amount"] for row in rows}


async def found_ledger(database: Database, chart: str = "generic") -> int:
    """A new, empty ledger whose principal may post everything."""
    id = next(_ledgers)
    async with connected(database, "superuser") as connection:
        await connection.execute(
            "INSERT INTO ledger (id, name, chart) VALUES ($1, $2, $3)", id, f"shop-{id}", chart
        )
        await connection.execute(
            "INSERT INTO principal (ledger_id, name, kinds) SELECT $1, $2, array_agg(name) FROM kind WHERE chart = $3",
            id,
            PRINCIPAL,
            chart,
        )
    return id


async def open_shop(database: Database, stack: AsyncExitStack, ledger: int | None = None) -> Shop:
    """Another engine on that ledger, as a second ledger process would be; on a new one, without it."""
    id = await found_ledger(database) if ledger is None else ledger
    pool = await create_pool(database.dsn("ledger_posting"), min_size=1, max_size=3, application_name="test")
    stack.push_async_callback(pool.close)
    async with pool.acquire() as connection:
        chart = await load_chart(connection, id)
    engine = PostingEngine(pool, id, chart)
    engine.start()
    stack.push_async_callback(engine.close)
    return Shop(database, id, pool, engine)


@dataclass
class Desk:
    """The tenant's own key at the application's HTTP door."""

    door: Door
    secret: str
    ledger: int

    async def post(
        self, path: str, body: Json, key: str | None = None, method: str = "POST"
    ) -> tuple[int, Json]:
        return await self.door.ask(self.secret, method, path, body, **{"Idempotency-Key": key or a_key()})

    async def get(self, path: str, **query: str) -> tuple[int, Json]:
        return await self.door.ask(self.secret, "GET", f"{path}?{urlencode(query)}" if query else path)

    async def fund(self, account: str, amount: str, currency: str = "USD") -> Json:
        """Owe somebody money: cash against their account."""
        status, told = await self.post("/v1/entries", transfer_body(CASH, account, amount, currency))
        assert status == 201, told
        return told

    async def balance(self, account: str, currency: str = "USD") -> str:
        status, told = await self.get("/v1/account", account=account, currency=currency)
        assert status == 200, told
        return str(told["balance"])


@asynccontextmanager
async def open_desk(database: Database, folder: Path, **settings: Any) -> AsyncIterator[Desk]:
    """A new tenant, the application, and a key that may do everything there."""
    ledger = await found_ledger(database)
    async with open_door(database, folder, **settings) as door:
        yield Desk(door, (await door.key(PRINCIPAL, ledger=f"shop-{ledger}")).secret, ledger)


def transfer_body(debit: str, credit: str, amount: str, currency: str = "USD", **more: object) -> Json:
    """The body that asks for a transfer."""
    return {
        "kind": "transfer",
        "reference": "orders/1",
        "postings": [
            {"account": debit, "side": "debit", "amount": amount, "currency": currency},
            {"account": credit, "side": "credit", "amount": amount, "currency": currency},
        ],
        **more,
    }


def slug(told: Json) -> str:
    """Which problem it is."""
    return str(told["type"]).removeprefix("/problems/")
