"""Responsible gaming end to end: a limit set through the gateway holds in the ledger before it is confirmed."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from common.testing import Stack

from tools.raceday.card import read_card
from tools.raceday.client import Refusal
from tools.raceday.day import Day
from tools.raceday.faults import nothing
from tools.raceday.plan import Plan
from tools.raceday.staff import officials


async def test_a_confirmed_limit_stops_an_offer_and_nothing_that_is_under_way(running: Stack) -> None:
    stack: dict[str, Any] = {**running.model_dump(mode="json"), "name": ""}
    card = read_card()
    gateway, rail = running.urls["gateway"], running.urls["rail"]
    races = card.races[:1]
    day = Day(
        gateway, rail, replace(card, races=races), Plan({}, {}), f"limits-{uuid4()}", lambda _: None, nothing
    )
    async with aiohttp.ClientSession() as http:
        nobody_elses = 1000 + secrets.randbelow(4000)  # whoever is excluded here is for a day
        await day.prepare(http, 1, await officials(stack, 2), first=nobody_elses)
        app = day.bettors[nobody_elses]
        (market,), (race,) = day.markets.values(), day.races.values()
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
            await app.post("/v1/offers", offer, str(uuid4()))
        assert refusal.value.status in {403, 409, 422}
        wallet = await app.get("/v1/wallet")
        assert "100.00" in str(wallet)
        cancelled = await app.delete(f"/v1/offers/{open_offer['id']}", str(uuid4()))
        assert cancelled["status"] in {"CANCELLED", "LAPSED"}
        assert (await app.post("/v1/play/exclusion", {"length": "1-day"}, str(uuid4())))["confirmed"]
        with pytest.raises(Refusal):
            await app.post("/v1/offers", {**offer, "stake": "10.00"}, str(uuid4()))
