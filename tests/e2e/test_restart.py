"""A market that the ledger really stopped: by mistake a hold was given back before its bet was booked. It is mended in the
ledger by hand, two officials sign, and it is settled to the centavo."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import aiohttp
import pytest
from common.testing import Stack

from loadtests.bank import ledger_key
from tests.e2e.control import order
from tests.e2e.test_correction import becomes, offer, purse, settled
from tools.raceday.card import read_card
from tools.raceday.client import App, Json, Refusal
from tools.raceday.day import Day
from tools.raceday.faults import nothing
from tools.raceday.plan import Plan
from tools.raceday.staff import officials
from tools.stack.described import running_stack


class ByHand:
    """Somebody who posts in the ledger directly."""

    def __init__(self, running: Stack, http: aiohttp.ClientSession, key: str, market: str) -> None:
        self._url = f"{running.urls['ledger']}/v1/entries"
        self._http, self._key, self._market = http, key, market

    async def post(self, kind: str, *legs: tuple[str, str, str, str | None]) -> None:
        postings = [
            {
                "account": account,
                "side": side,
                "amount": amount,
                "currency": "MXN",
                **({"hold": hold} if hold else {}),
            }
            for side, account, amount, hold in legs
        ]
        body = {"kind": kind, "reference": f"markets/{self._market}", "postings": postings}
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": str(uuid4())}
        async with self._http.post(self._url, json=body, headers=headers) as answer:
            assert answer.status == 201, await answer.text()


async def stands(app: App, market: str, status: str) -> Json:
    async with asyncio.timeout(60):
        while True:
            view = await app.get(f"/v1/markets/{market}")
            if view["status"] == status:
                return view
            await asyncio.sleep(0.1)


async def test_a_market_that_the_ledger_stopped_goes_on(running: Stack) -> None:
    race = replace(read_card().races[0], outcome=0)
    day = Day(
        running.urls["gateway"], running.urls["rail"], replace(read_card(), races=(race,)), Plan({}, {}),
        f"restart-{uuid4()}", lambda _: None, nothing,
    )  # fmt: skip
    first = 20_000 + secrets.randbelow(9_000)
    key = await ledger_key(running_stack(), f"mending-{uuid4()}", "bet.hold", "bet.release", "bet.match")
    async with aiohttp.ClientSession() as http:
        people = await officials({**running.model_dump(mode="json"), "name": ""}, 2)
        await day.prepare(http, 2, people, first=first)
        ana, beto = day.bettors[first], day.bettors[first + 1]
        begun = {who: (await purse(who))["available"] for who in (ana, beto)}
        market, runners = day.markets[race.number], day.races[race.number]["runners"]
        by_hand = ByHand(running, http, key, market["id"])
        await order(running, "stop", "relay-betting")
        made, taken = [
            await app.post("/v1/offers", offer(market, runner["id"], "100.00"), str(uuid4()))
            for app, runner in ((ana, runners[0]), (beto, runners[1]))
        ]
        her, his = f"players/{day.ids[first]}", f"players/{day.ids[first + 1]}"
        await by_hand.post(
            "bet.release",
            ("debit", f"{her}/held", "100.00", made["id"]),
            ("credit", f"{her}/available", "100.00", None),
        )
        await order(running, "start", "relay-betting")
        await stands(ana, market["id"], "SUSPENDED")

        restart, why = f"/v1/markets/{market['id']}/restart", {"reason": "the hold was given back by mistake"}
        for official in day.officials:
            with pytest.raises(Refusal, match="books-differ"):
                await official.post(restart, why, str(uuid4()))
        again = str(uuid4())
        await by_hand.post(
            "bet.hold",
            ("debit", f"{her}/available", "100.00", None),
            ("credit", f"{her}/held", "100.00", again),
        )
        await by_hand.post(
            "bet.match",
            ("debit", f"{her}/held", "100.00", again),
            ("debit", f"{his}/held", "100.00", taken["id"]),
            ("credit", f"markets/{market['id']}/escrow", "200.00", None),
        )
        one, other = day.officials
        assert (await one.post(restart, why, str(uuid4())))["status"] == "SUSPENDED"
        with pytest.raises(Refusal, match="already-signed"):
            await one.post(restart, why, str(uuid4()))
        await other.post(restart, why, str(uuid4()))
        await stands(ana, market["id"], "OPEN")

        await day._finish(race)
        await settled(ana, market["id"], 1)
        fee = Decimal(100) * market["commission_bps"] / 10_000
        await becomes(ana, available=begun[ana] + 100 - fee, held=Decimal(0))
        await becomes(beto, available=begun[beto] - 100, held=Decimal(0))
