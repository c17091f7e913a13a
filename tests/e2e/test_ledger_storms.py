"""Two ledger processes and everybody at once on the same hold, or on an account that is being closed.

Posts have their own storm in `test_ledger_doors.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from loadtests.alone import api_key, ledger_alone
from loadtests.books import LEDGER, make_ledger
from services.ledger.tests.vocabulary import assert_sound

Json = dict[str, Any]
KINDS = ("transfer", "hold.open", "hold.capture", "hold.release", "reversal", "account.close")
HOLDS, ACCOUNTS = 24, 16


@dataclass
class Tenant:
    """Its key at both doors."""

    http: aiohttp.ClientSession
    doors: tuple[str, ...]

    async def post(self, door: int, path: str, body: Json) -> tuple[str, Json]:
        """The slug of a refusal, or "done", and the answer."""
        key = {"Idempotency-Key": str(uuid4())}
        async with self.http.post(self.doors[door] + path, json=body, headers=key) as answer:
            told = await answer.json(content_type=None)
            assert answer.status in (200, 201, 404, 409, 422), told
            return str(told.get("type", "done")).removeprefix("/problems/"), told

    async def get(self, path: str, **query: str) -> Json:
        async with self.http.get(self.doors[0] + path, params=query) as answer:
            assert answer.status == 200, await answer.text()
            told: Json = await answer.json()
            return told

    async def pay(self, door: int, debit: str, credit: str, amount: str) -> str:
        postings = [
            {"account": account, "side": side, "amount": amount, "currency": "USD"}
            for account, side in ((debit, "debit"), (credit, "credit"))
        ]
        wanted = {"kind": "transfer", "reference": "orders/1", "postings": postings}
        return (await self.post(door, "/v1/entries", wanted))[0]


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    """Two processes on a database of their own, whose books are sound in the end."""
    async with ledger_alone(2, prepare=make_ledger) as alone:
        key = await api_key(alone.database, "tester", *KINDS, ledger=LEDGER)
        headers, connector = {"Authorization": f"Bearer {key}"}, aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=headers, connector=connector) as http:
            yield Tenant(http, alone.urls)
        connection = await asyncpg.connect(alone.database.dsn("ledger_reader"))
        try:
            await assert_sound(connection)
        finally:
            await connection.close()


async def test_capture_release_expire_and_reverse_one_hold(tenant: Tenant) -> None:
    """Each of them wants all of the money, or more than half of it; the deadline comes in the middle."""
    assert await tenant.pay(0, "assets/cash", "liabilities/ana", f"{HOLDS * 10}.00") == "done"
    due = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    wanted = {
        "account": "liabilities/ana", "amount": "10.00", "currency": "USD", "reference": "orders/1", "expires_at": due,
    }  # fmt: skip
    opened = await asyncio.gather(*(tenant.post(n % 2, "/v1/holds", wanted) for n in range(HOLDS)))
    assert {slug for slug, _ in opened} == {"done"}
    entries = [told["id"] for _, told in opened]  # a hold without an id of its own has its entry's

    async def fight(number: int, entry: str) -> list[str]:
        await asyncio.sleep(
            number / HOLDS * 1.6
        )  # some long before they are due, some at that moment, some after
        fees = [{"account": "income/fees", "amount": "10.00"}]
        acts: list[tuple[str, Json]] = [
            (f"/v1/holds/{entry}/capture", {"to": fees}),
            (f"/v1/holds/{entry}/capture", {"to": [{"account": "income/fees", "amount": "6.00"}]}),
            (f"/v1/holds/{entry}/release", {}),
            (f"/v1/holds/{entry}/release", {"amount": "6.00"}),
            (f"/v1/entries/{entry}/reversal", {}),
        ]
        answers = await asyncio.gather(
            *(tenant.post(door, path, body) for door in (0, 1) for path, body in acts)
        )
        return [slug for slug, _ in answers]

    fights = await asyncio.gather(*(fight(n, entry) for n, entry in enumerate(entries)))
    assert {slug for each in fights for slug in each} <= {"done", "hold-exhausted", "already-reversed"}
    async with asyncio.timeout(30):
        while any([(await tenant.get(f"/v1/holds/{entry}"))["remaining"] != "0.00" for entry in entries]):
            await asyncio.sleep(0.2)
    ends: Counter[str] = Counter()
    for entry in entries:
        hold = await tenant.get(f"/v1/holds/{entry}")
        assert Decimal(hold["captured"]) + Decimal(hold["released"]) == 10, hold
        ends.update(
            [end for end in ("captured", "released") if Decimal(hold[end])] + ["expired"] * hold["expired"]
        )
    assert ends["expired"], "some were due before anybody came"
    assert ends["captured"] + ends["released"] > ends["expired"], "and some were not"
    ana = Decimal((await tenant.get("/v1/account", account="liabilities/ana", currency="USD"))["balance"])
    fees = Decimal((await tenant.get("/v1/account", account="income/fees", currency="USD"))["balance"])
    assert ana + fees == HOLDS * 10


async def test_closing_an_account_that_others_post_to(tenant: Tenant) -> None:
    """Closed means empty and for ever, whoever was first, at whichever door."""

    async def fight(account: str, doors: tuple[int, int]) -> tuple[list[str], str]:
        here, there = doors
        assert await tenant.pay(here, "assets/cash", account, "1.00") == "done"
        *answers, (closed, _) = await asyncio.gather(
            tenant.pay(here, account, "equity/own", "1.00"),
            tenant.pay(there, "assets/cash", account, "2.00"),
            tenant.pay(there, account, "equity/own", "2.00"),
            tenant.pay(here, "assets/cash", account, "3.00"),
            tenant.post(there, "/v1/account/closing", {"account": account, "currency": "USD"}),
        )
        return list(answers), closed

    accounts = [f"liabilities/a{number}" for number in range(ACCOUNTS)]
    doors = cycle(((0, 1), (1, 0)))
    told = await asyncio.gather(*(fight(account, next(doors)) for account in accounts))
    for account, (answers, closed) in zip(accounts, told, strict=True):
        assert set(answers) <= {"done", "insufficient-funds", "account-closed"}
        assert closed in {"done", "account-not-empty"}
        balance = Decimal((await tenant.get("/v1/account", account=account, currency="USD"))["balance"])
        paid_in = 1 + sum(
            amount for slug, amount in zip(answers, (0, 2, 0, 3), strict=True) if slug == "done"
        )
        paid_out = sum(amount for slug, amount in zip(answers, (1, 0, 2, 0), strict=True) if slug == "done")
        assert balance == paid_in - paid_out
        if closed == "done":
            assert balance == 0
            assert await tenant.pay(0, "assets/cash", account, "1.00") == "account-closed"
            assert await tenant.pay(1, "assets/cash", account, "1.00") == "account-closed"
