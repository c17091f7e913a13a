"""An official error after the money was paid: the whole way, with the real ledger. What the wrong winner has not got any
more is a debt, and the debt is repaid by itself when money comes to them."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import aiohttp
from common.testing import Stack

from tools.raceday.card import read_card
from tools.raceday.client import App, Json
from tools.raceday.day import Day
from tools.raceday.faults import nothing
from tools.raceday.plan import Plan
from tools.raceday.staff import officials

WITHIN_SECONDS = 60.0


async def purse(app: App) -> dict[str, Decimal]:
    """What somebody has, by account."""
    wallet = await app.get("/v1/wallet")
    return {each["account"].rpartition("/")[2]: Decimal(each["balance"]) for each in wallet["accounts"]}


async def becomes(app: App, **wanted: Decimal) -> None:
    found: dict[str, Decimal] = {}
    try:
        async with asyncio.timeout(WITHIN_SECONDS):
            while any(found.get(account, Decimal(0)) != amount for account, amount in wanted.items()):
                found = await purse(app)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"wanted {wanted}, found {found}") from None


async def settled(app: App, market: str, version: int) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            view = await app.get(f"/v1/markets/{market}")
            assert view["status"] != "SUSPENDED", view
            if view["status"] == "SETTLED" and view["settlement"] == version:
                return
            await asyncio.sleep(0.1)


def offer(market: Json, runner: str, pesos: str) -> Json:
    return {
        "market_id": market["id"], "market_version": market["version"], "runner_id": runner, "risk": 1, "win": 1,
        "stake": pesos, "currency": "MXN",
    }  # fmt: skip


async def test_a_wrong_result_is_corrected_to_the_last_centavo(running: Stack) -> None:
    card = read_card()
    one, other = (replace(race, outcome=0) for race in card.races[:2])
    day = Day(
        running.urls["gateway"], running.urls["rail"], replace(card, races=(one, other)), Plan({}, {}),
        f"correction-{uuid4()}", lambda _: None, nothing,
    )  # fmt: skip
    first = 5_000 + secrets.randbelow(4_000)
    async with aiohttp.ClientSession() as http:
        await day.prepare(
            http, 2, await officials({**running.model_dump(mode="json"), "name": ""}, 2), first=first
        )
        ana, beto = day.bettors[first], day.bettors[first + 1]
        begun = {who: (await purse(who))["available"] for who in (ana, beto)}
        market, runners = day.markets[one.number], day.races[one.number]["runners"]
        for app, runner in ((ana, runners[0]), (beto, runners[1])):
            await app.post("/v1/offers", offer(market, runner["id"], "100.00"), str(uuid4()))
        await day._finish(one)
        await settled(ana, market["id"], 1)
        fee = Decimal(100) * market["commission_bps"] / 10_000
        await becomes(ana, available=begun[ana] + 100 - fee, held=Decimal(0))
        await becomes(beto, available=begun[beto] - 100)

        # Ana puts all but ten pesos at risk elsewhere, and then the officials see what they had got wrong.
        elsewhere = day.markets[other.number]
        at_risk = begun[ana] + 100 - fee - 10
        resting = await ana.post(
            "/v1/offers",
            offer(elsewhere, day.races[other.number]["runners"][0]["id"], str(at_risk)),
            str(uuid4()),
        )
        # First only the margin: nobody's share changes, and the ledger has nothing to book. Then the winner.
        seen = day._what_was_seen(one)
        margin = "faja" if seen["margin"] != "faja" else "ijar"
        why = "the photo was read the wrong way"
        for version, winner in ((2, seen["winner"]), (3, runners[1]["id"])):
            right = {**seen, "margin": margin, "winner": winner, "reason": why}
            for official in day.officials[:2]:
                await official.post(
                    f"/v1/races/{day.races[one.number]['id']}/corrections", right, str(uuid4())
                )
            await settled(ana, market["id"], version)
        owed = 200 - fee - 10
        await becomes(beto, available=begun[beto] + 100 - fee)
        await becomes(ana, available=Decimal(0), held=at_risk, debt=owed)

        # Money comes back to her: the debt takes what it is owed, nobody has to ask.
        await ana.delete(f"/v1/offers/{resting['id']}", str(uuid4()))
        await becomes(ana, available=begun[ana] - 100, held=Decimal(0), debt=Decimal(0))
        assert (await ana.get(f"/v1/markets/{market['id']}"))["status"] == "SETTLED"
