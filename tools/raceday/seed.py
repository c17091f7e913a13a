"""A small day to look at after `make run`: two officials, two cashiers, two bettors with money, open markets."""

from __future__ import annotations

from dataclasses import replace

import aiohttp

from tools.raceday.card import read_card
from tools.raceday.day import Day, Say
from tools.raceday.faults import nothing
from tools.raceday.people import person
from tools.raceday.plan import Plan
from tools.raceday.staff import create, officials
from tools.stack.described import Stack

RACES = 3
BETTORS = 2
CASHIERS = 2


async def seed(stack: Stack, say: Say) -> None:
    """Make the demo day unless it is there, and print who can log in."""
    card = read_card()
    day = Day(
        stack["urls"]["gateway"],
        stack["urls"]["rail"],
        replace(card, races=card.races[:RACES]),
        Plan({}, {}),
        "seed",
        lambda _: None,
        nothing,
    )
    staff = await officials(stack, 2)
    async with aiohttp.ClientSession() as http:
        await day.prepare(http, BETTORS, staff)
    desk = [await create(stack, person(number, "cashier"), "cashier") for number in range(CASHIERS)]
    say("log in as (e-mail, password):")
    for who in (*staff, *desk, *(person(number) for number in range(BETTORS))):
        authenticator = f"   authenticator {who.totp}" if who.totp else ""
        print(f"  {who.email:36} {who.password}{authenticator}")
