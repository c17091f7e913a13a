"""A day of races that a test sets up for itself, through the public door alone: staff, stables, bettors, races, markets."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from common.testing import Stack

from tools.raceday.card import read_card
from tools.raceday.client import App, Json, Refusal, Tally
from tools.raceday.day import Day
from tools.raceday.faults import nothing
from tools.raceday.people import person
from tools.raceday.plan import Plan
from tools.raceday.staff import create, officials

WITHIN_SECONDS = 60.0
ADMIN = 905
"""The number of this file's first administrator, and the next one of the second: nobody else's."""


def tomorrow() -> datetime:
    """Noon of the next day in the capital."""
    return (datetime.now(UTC) + timedelta(days=1)).replace(hour=18, minute=0, second=0, microsecond=0)


async def refused(asked: Awaitable[Json], slug: str, field: str | None = None) -> Json:
    """The problem it was refused with, which must be of that kind and, if there is one to name, name that field."""
    with pytest.raises(Refusal) as refusal:
        await asked
    problem = refusal.value.problem
    assert (refusal.value.slug, field or problem.get("field")) == (slug, problem.get("field")), problem
    return problem


@dataclass(slots=True)
class Meeting:
    """Staff and bettors who are logged in; the bettors have money and devices."""

    officials: list[App]
    admin: App
    other_admin: App
    bettors: list[App]
    ids: list[str]

    async def event(
        self, *, name: str = "Junta", seconds: int = 600, state: str = "SIN", **more: Any
    ) -> Json:
        """A published event under a permit, whose results may be objected to for that long."""
        venue, number = f"Carril {secrets.token_hex(4)}", f"P-{secrets.token_hex(4)}"
        day = tomorrow().date().isoformat()
        permit = {"number": number, "venue": venue, "issuer": "SEGOB", "valid_from": day, "valid_to": day}
        await self.do("/v1/permits", permit)
        wanted = {"name": name, "venue": venue, "permit": number, "starts_at": tomorrow().isoformat(),
                  "objection_seconds": seconds, "state": state, **more}  # fmt: skip
        event = await self.do("/v1/events", wanted)
        await self.do(f"/v1/events/{event['id']}/publish")
        return event

    async def do(self, path: str, body: Json | None = None, *, judge: int = 0) -> Json:
        """An official acts."""
        return await self.officials[judge].post(path, body or {}, str(uuid4()))

    async def race(self, event: Json, *horses: str, **more: Any) -> Json:
        wanted = {"number": 1 + secrets.randbelow(100), "distance_m": 300, "horses": list(horses or ("El Moro", "La Chula")),
                  "starts_at": (tomorrow() + timedelta(hours=1)).isoformat(), **more}  # fmt: skip
        return await self.do(f"/v1/events/{event['id']}/races", wanted)

    async def market(self, race: Json, **terms: Any) -> Json:
        return await self.do(
            f"/v1/races/{race['id']}/market", {"commission_bps": 300, "tie_rule": "PUSH", **terms}
        )

    async def floor(self, *, seconds: int = 600, **terms: Any) -> tuple[Json, Json]:
        """A race on a day of its own, and a market about it."""
        race = await self.race(await self.event(seconds=seconds))
        return race, await self.market(race, **terms)

    async def offer(
        self, bettor: int, market: Json, side: int, pesos: str, risk: int = 1, win: int = 1, **options: Any
    ) -> Json:
        wanted = {
            "market_id": market["id"], "market_version": market["version"], "runner_id": market["runners"][side],
            "risk": risk, "win": win, "stake": pesos, "currency": "MXN", **options,
        }  # fmt: skip
        return await self.bettors[bettor].post("/v1/offers", wanted, str(uuid4()))

    async def gate(self, market: Json) -> None:
        await self.do(f"/v1/markets/{market['id']}/close")

    async def declare(self, race: Json, seen: Json, *judges: int) -> Json:
        """Each of these officials declares the same."""
        for judge in judges or (0, 1):
            race = await self.do(f"/v1/races/{race['id']}/results", seen, judge=judge)
        return race

    async def becomes(self, market: Json, status: str, settlement: int | None = None) -> Json:
        """The market, once it is in that state."""
        view: Json = {}
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                while view.get("status") != status or settlement not in {None, view["settlement"]}:
                    view = await self.officials[0].get(f"/v1/markets/{market['id']}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{status} wanted, {view}") from None
        return view

    async def purse(self, bettor: int) -> dict[str, Decimal]:
        """What a bettor has, by account."""
        wallet = await self.bettors[bettor].get("/v1/wallet")
        return {each["account"].rpartition("/")[2]: Decimal(each["balance"]) for each in wallet["accounts"]}

    async def gained(self, bettor: int, before: dict[str, Decimal], pesos: str) -> None:
        """Wait until a bettor has so much more (or less) than before, in hand or held for offers."""
        wanted, found = _own(before) + Decimal(pesos), Decimal(0)
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                while (found := _own(await self.purse(bettor))) != wanted:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{wanted} wanted, {found}") from None

    async def moves(self, subject: str) -> list[tuple[str, str]]:
        """Every state something has been in, with the reason for it."""
        told = await self.officials[0].get(f"/v1/transitions/{subject}")
        return [(each["became"], each["reason"]) for each in told["items"]]


def _own(purse: dict[str, Decimal]) -> Decimal:
    return purse.get("available", Decimal(0)) + purse.get("held", Decimal(0))


def seen(winner: str | None, margin: str | None = "cabeza", **more: Any) -> Json:
    """What an official declares."""
    return {
        "winner": winner,
        "margin": None if winner is None else margin,
        "off_time": (tomorrow() + timedelta(hours=1)).isoformat(),
        "photo_sha256": hashlib.sha256(b"photo").hexdigest(),
        **more,
    }


async def convened(running: Stack, http: aiohttp.ClientSession, first: int, bettors: int) -> Meeting:
    """Four officials, two administrators, and that many bettors from the `first` on."""
    stack: Json = {**running.model_dump(mode="json"), "name": ""}
    gateway = running.urls["gateway"]
    day = Day(
        gateway, running.urls["rail"], replace(read_card(), races=()), Plan({}, {}), f"meeting-{uuid4()}",
        lambda _: None, nothing,
    )  # fmt: skip
    await day.prepare(http, bettors, await officials(stack, 4), first=first)
    admins = [App(http, gateway, Tally()) for _ in range(2)]
    for number, admin in enumerate(admins, start=ADMIN):
        who = replace(person(number, "admin"), email=f"order-{number}@e2e.mx")
        await admin.login(await create(stack, who, "admin"))
    numbers = range(first, first + bettors)
    return Meeting(
        day.officials,
        admins[0],
        admins[1],
        [day.bettors[each] for each in numbers],
        [day.ids[each] for each in numbers],
    )
