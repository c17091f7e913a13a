"""A day to load: bettors with money and devices, and as many open markets as wanted, on a running stack."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from loadtests.steady import steady
from tools.raceday.card import Card, RaceOnCard
from tools.raceday.day import Day
from tools.raceday.faults import nothing
from tools.raceday.plan import Plan
from tools.raceday.staff import officials
from tools.stack.described import running_stack


@dataclass(frozen=True, slots=True)
class Floor:
    """One open market: its id and version, and its two runners."""

    market: str
    version: int
    runners: tuple[str, str]


async def settled(stack: Mapping[str, Any]) -> None:
    """See `steady`."""
    await steady(stack["postgres"]["superuser_dsn"], ("ledger", "betting"))


async def opened(http: aiohttp.ClientSession, bettors: int, markets: int) -> tuple[Day, list[Floor]]:
    """Bettors who are logged in and have money, and open markets."""
    stack = running_stack()
    races = tuple(
        RaceOnCard(number, 300, (f"El Uno {number}", f"El Dos {number}"), 300, 0)
        for number in range(1, markets + 1)
    )
    card = Card("Junta de carga", "Carril La Herradura", "SEGOB-2026-0417", races)
    day = Day(
        stack["urls"]["gateway"], stack["urls"]["rail"], card, Plan({}, {}), f"load-{secrets.token_hex(4)}", print,
        nothing,
    )  # fmt: skip
    await day.prepare(http, bettors, await officials(stack, 2))
    floors = []
    for race in races:
        market, runners = day.markets[race.number], day.races[race.number]["runners"]
        floors.append(Floor(market["id"], market["version"], (runners[0]["id"], runners[1]["id"])))
    return day, floors
