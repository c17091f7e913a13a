"""Responsible gaming end to end: a limit set through the gateway holds in the ledger before it is confirmed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from common.testing import Stack

from tools.raceday.card import read_card
from tools.raceday.client import App, Refusal
from tools.raceday.day import Day, home_clabe
from tools.raceday.faults import nothing
from tools.raceday.people import person
from tools.raceday.plan import DEPOSIT_CENTAVOS, Plan, pesos
from tools.raceday.staff import officials

SUSPENDED_WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Arrived:
    """A bettor of this test's own, who has registered, enrolled a device and deposited."""

    day: Day
    number: int
    app: App


@pytest.fixture
async def arrived(running: Stack) -> AsyncIterator[Arrived]:
    stack: dict[str, Any] = {**running.model_dump(mode="json"), "name": ""}
    card = read_card()
    day = Day(
        running.urls["gateway"],
        running.urls["rail"],
        replace(card, races=card.races[:1]),
        Plan({}, {}),
        f"limits-{uuid4()}",
        lambda _: None,
        nothing,
    )
    async with aiohttp.ClientSession() as http:
        number = 1000 + secrets.randbelow(4000)  # nobody else's: whoever is excluded here is so for a day
        await day.prepare(http, 1, await officials(stack, 2), first=number)
        yield Arrived(day, number, day.bettors[number])


async def test_a_confirmed_limit_stops_an_offer_and_nothing_that_is_under_way(arrived: Arrived) -> None:
    app = arrived.app
    (market,), (race,) = arrived.day.markets.values(), arrived.day.races.values()
    offer = {
        "market_id": market["id"],
        "market_version": market["version"],
        "runner_id": race["runners"][0]["id"],
        "risk": 1,
        "win": 1,
        "stake": "100.00",
        "currency": "MXN",
    }
    open_offer = await app.post("/v1/offers", offer, str(uuid4()))
    limit = {"measure": "stake", "period": "day", "amount": "150.00"}
    policy = await app.call("PUT", "/v1/play/limits", limit, str(uuid4()))
    assert policy["confirmed"]
    with pytest.raises(Refusal) as refusal:
        await app.post("/v1/offers", {**offer, "stake": "60.00"}, str(uuid4()))
    assert (refusal.value.status, refusal.value.slug) == (422, "limit-exceeded")
    wallet = await app.get("/v1/wallet")
    assert "100.00" in str(wallet)
    cancelled = await app.delete(f"/v1/offers/{open_offer['id']}", str(uuid4()))
    assert cancelled["status"] in {"CANCELLED", "LAPSED"}
    left = await app.post("/v1/offers", {**offer, "stake": "20.00"}, str(uuid4()))
    assert (await app.post("/v1/play/exclusion", {"length": "1-day"}, str(uuid4())))["confirmed"]
    with pytest.raises(Refusal) as refusal:
        await app.post("/v1/offers", {**offer, "stake": "10.00"}, str(uuid4()))
    # The ledger says no from the moment it is confirmed; betting, which hears of it as an event, soon says it first.
    assert refusal.value.slug in {"player-blocked", "betting-suspended"}
    async with asyncio.timeout(SUSPENDED_WITHIN_SECONDS):
        while (ended := await app.get(f"/v1/offers/{left['id']}"))["status"] == "OPEN":
            await asyncio.sleep(0.1)
    assert (ended["status"], ended["ending"], ended["released"]) == ("CANCELLED", "BETTOR_EXCLUDED", "20.00")


async def test_a_deposit_beyond_the_limit_goes_to_suspense(arrived: Arrived, running: Stack) -> None:
    """Signed by the real attestor for its player, refused by the real ledger, signed again for suspense and booked."""
    app, who = arrived.app, person(arrived.number)
    limit = {"measure": "deposit", "period": "day", "amount": pesos(DEPOSIT_CENTAVOS)}
    assert (await app.call("PUT", "/v1/play/limits", limit, str(uuid4())))["confirmed"]
    transfer = {
        "beneficiary_clabe": (await app.get("/v1/clabe"))["clabe"],
        "beneficiary_name": who.full_name,
        "ordering_clabe": home_clabe(arrived.number),
        "ordering_name": who.full_name,
        "amount": "25.00",
        "clave": secrets.token_hex(10).upper(),
    }
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{running.urls['rail']}/transfers", json=transfer) as answer,
    ):
        sent = await answer.json()
    claim = {
        "tracking_key": sent["clave"],
        "operation_date": sent["operation_date"],
        "sender_institution": sent["institution"],
        "amount": "25.00",
        "currency": "MXN",
    }
    before = await app.get("/v1/wallet")
    deposit = await app.post("/v1/deposits", claim, str(uuid4()))
    async with asyncio.timeout(SUSPENDED_WITHIN_SECONDS):
        while (told := await app.get(f"/v1/deposits/{deposit['id']}"))["status"] != "SUSPENDED":
            assert told["status"] != "BOOKED"
            await asyncio.sleep(0.5)
    assert await app.get("/v1/wallet") == before
