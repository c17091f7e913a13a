"""A race day, act by act, through the gateway alone (and the other banks' side of the rail)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import aiohttp

from tools.raceday.card import Card, RaceOnCard
from tools.raceday.client import App, Json, Refusal, Tally
from tools.raceday.people import Person, person
from tools.raceday.plan import DEPOSIT_CENTAVOS, Plan, PlannedOffer, pesos

CURRENCY = "MXN"
AT_ONCE = 16
"""People who act at the same moment."""

POLL_SECONDS = 0.2
SETTLES_WITHIN_SECONDS = 120.0
OBJECTION_SECONDS = 2
"""A real day gives people ten minutes to object to a result."""

Subject = TypeVar("Subject")
Say = Callable[[str], None]
Milestone = Callable[[str, int], Awaitable[None]]
"""Called as (act, steps it has) after each step, so that faults can land in the middle of an act."""


@dataclass(slots=True)
class Day:
    """The day while it runs. Races and bettors are known by number; `markets` and `ids` map them to ids."""

    gateway: str
    rail: str
    card: Card
    plan: Plan
    day: str
    say: Say
    milestone: Milestone
    tally: Tally = field(default_factory=Tally)
    bettors: dict[int, App] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    officials: list[App] = field(default_factory=list)
    markets: dict[int, Json] = field(default_factory=dict)
    races: dict[int, Json] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    async def run(self, bettors: int, officials: list[Person]) -> None:
        """Play the whole day.

        Raises:
            Refusal: the platform refused something that the plan says is right.
            TimeoutError: something did not come to its end.
        """
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=15), connector=aiohttp.TCPConnector(limit=64)
                )
            )
            await self.prepare(http, bettors, officials)
            await self._each("offers", self.card.races, self._trade)
            await self._each("gates and results", self.card.races, self._finish)
            await self._each("markets settle", self.card.races, self._await_settlement)
            await self._each("winners withdraw", self.plan.withdrawals.items(), self._withdraw)

    async def prepare(
        self, http: aiohttp.ClientSession, bettors: int, officials: list[Person], *, first: int = 0
    ) -> None:
        """Everything before the first offer: people with money (from the `first` on), a published event, open markets."""
        for official in officials:
            app = App(http, self.gateway, self.tally)
            await app.login(official)
            self.officials.append(app)
        await self._each(
            "people register and deposit", range(first, first + bettors), lambda n: self._arrive(http, n)
        )
        await self._publish()

    async def _each(
        self, act: str, subjects: Iterable[Subject], step: Callable[[Subject], Awaitable[None]]
    ) -> None:
        """Do `step` for every subject, at most `AT_ONCE` at a time, and tell how it goes."""
        waiting = list(subjects)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(subject: Subject) -> None:
            async with gate:
                await step(subject)
            await self.milestone(act, len(waiting))

        started = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for subject in waiting:
                group.create_task(one(subject))
        self.say(f"{act}: {len(waiting)} in {asyncio.get_running_loop().time() - started:.1f} s")

    def _count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by

    async def _arrive(self, http: aiohttp.ClientSession, number: int) -> None:
        """Register, log in, ask for the CLABE, send money from another bank, claim it, wait for it."""
        who, app = person(number), App(http, self.gateway, self.tally)
        papers = {"curp": who.curp, "full_name": who.full_name, "email": who.email, "password": who.password}
        self.ids[number] = str((await app.post("/v1/register", papers, f"register:{who.email}"))["id"])
        await app.login(who)
        await app.enrol(who)
        self.bettors[number] = app
        clabe = (await app.get("/v1/clabe"))["clabe"]
        transfer = await self._send_money(http, number, who, clabe)
        claim = {
            "tracking_key": transfer["clave"],
            "operation_date": transfer["operation_date"],
            "sender_institution": transfer["institution"],
            "amount": pesos(DEPOSIT_CENTAVOS),
            "currency": CURRENCY,
        }
        deposit = await app.post("/v1/deposits", claim, f"{self.day}:deposit:{number}")
        await self._until(app, f"/v1/deposits/{deposit['id']}", {"BOOKED"}, {"REJECTED"})
        self._count("deposits")

    async def _send_money(self, http: aiohttp.ClientSession, number: int, who: Person, clabe: str) -> Json:
        transfer = {
            "beneficiary_clabe": clabe,
            "beneficiary_name": who.full_name,
            "ordering_clabe": home_clabe(number),
            "ordering_name": who.full_name,
            "amount": pesos(DEPOSIT_CENTAVOS),
            "clave": hashlib.sha256(f"{self.day}:{number}".encode()).hexdigest()[:20].upper(),
        }
        other_bank = App(http, self.rail, self.tally)
        return await other_bank.call("POST", "/transfers", transfer)

    async def _publish(self) -> None:
        """An official publishes the event, its races, and opens a market each."""
        official, starts = self.officials[0], first_race()
        permit = {
            "number": self.card.permit,
            "venue": self.card.venue,
            "issuer": "Secretaría de Gobernación",
            "valid_from": starts.date().isoformat(),
            "valid_to": starts.date().isoformat(),
        }
        await official.post("/v1/permits", permit, f"permit:{self.card.permit}:{starts.date()}")
        event = await official.post(
            "/v1/events",
            {
                "name": self.card.event,
                "venue": self.card.venue,
                "permit": self.card.permit,
                "starts_at": starts.isoformat(),
                "objection_seconds": OBJECTION_SECONDS,
            },
            f"{self.day}:event",
        )
        for race in self.card.races:
            wanted = {
                "number": race.number,
                "distance_m": race.distance_m,
                "horses": list(race.horses),
                "starts_at": (starts + timedelta(minutes=20 * race.number)).isoformat(),
            }
            self.races[race.number] = await official.post(
                f"/v1/events/{event['id']}/races", wanted, f"{self.day}:race:{race.number}"
            )
        await official.post(f"/v1/events/{event['id']}/publish", {}, f"{self.day}:publish")
        for race in self.card.races:
            self.markets[race.number] = await official.post(
                f"/v1/races/{self.races[race.number]['id']}/market",
                {"commission_bps": race.commission_bps, "tie_rule": "PUSH"},
                f"{self.day}:market:{race.number}",
            )
        self.say(f"published: {self.card.event}, {len(self.card.races)} races, a market each")

    async def _trade(self, race: RaceOnCard) -> None:
        """All offers of one market, one after the other: their order decides who matches whom."""
        planned = self.plan.offers[race.number]
        for at, offer in enumerate(planned):
            placed = await self._place(race, at, offer)
            self._count("offers")
            self._count("fills", len(placed.get("fills", ())))
            if placed["status"] == "PARTIAL":
                self._count("partial fills")
            if offer.cancelled and placed["status"] in {"OPEN", "PARTIAL"}:
                await self._cancel(race, at, offer, placed)
            await self.milestone("offers placed", len(planned))

    async def _place(self, race: RaceOnCard, at: int, offer: PlannedOffer) -> Json:
        market = self.markets[race.number]
        wanted = {
            "market_id": market["id"],
            "market_version": market["version"],
            "runner_id": self.races[race.number]["runners"][offer.horse]["id"],
            "risk": offer.risk,
            "win": offer.win,
            "stake": pesos(offer.stake_centavos),
            "currency": CURRENCY,
            "repeat": True,
        }
        return await self.bettors[offer.bettor].post(
            "/v1/offers", wanted, f"{self.day}:offer:{race.number}:{at}"
        )

    async def _cancel(self, race: RaceOnCard, at: int, offer: PlannedOffer, placed: Json) -> None:
        await self.bettors[offer.bettor].delete(
            f"/v1/offers/{placed['id']}", f"{self.day}:cancel:{race.number}:{at}"
        )
        self._count("cancels")

    async def _finish(self, race: RaceOnCard) -> None:
        """The gate closes the market; then two officials say, each on their own, what they saw."""
        one, other = self.officials[:2]
        race_id, market_id = self.races[race.number]["id"], self.markets[race.number]["id"]
        if race.outcome == "scratched":
            await one.post(
                f"/v1/races/{race_id}/scratch",
                {"reason": f"{race.horses[1]} no corre: cojea de la mano izquierda"},
                f"{self.day}:scratch:{race.number}",
            )
            return
        await one.post(f"/v1/markets/{market_id}/close", {}, f"{self.day}:close:{race.number}")
        seen = self._what_was_seen(race)
        for judge, official in enumerate((one, other)):
            await official.post(
                f"/v1/races/{race_id}/results", seen, f"{self.day}:result:{race.number}:{judge}"
            )

    def _what_was_seen(self, race: RaceOnCard) -> Json:
        runners = self.races[race.number]["runners"]
        tie = race.outcome == "dead heat"
        return {
            "winner": None if tie else runners[race.outcome]["id"],
            "margin": None if tie else "cabeza",
            "off_time": (first_race() + timedelta(minutes=20 * race.number)).isoformat(),
            "photo_sha256": hashlib.sha256(f"{self.day}:photo:{race.number}".encode()).hexdigest(),
        }

    async def _await_settlement(self, race: RaceOnCard) -> None:
        path = f"/v1/markets/{self.markets[race.number]['id']}"
        await self._until(self.officials[0], path, {"SETTLED", "VOID"}, {"SUSPENDED"})

    async def _withdraw(self, wish: tuple[int, int]) -> None:
        """Part of what is available goes back to the account it came from."""
        number, centavos = wish
        app, who = self.bettors[number], person(number)
        wanted = {
            "clabe": home_clabe(number),
            "beneficiary_name": who.full_name,
            "amount": pesos(centavos),
            "currency": CURRENCY,
        }
        withdrawal = await app.post("/v1/withdrawals", wanted, f"{self.day}:withdrawal:{number}")
        await self._until(app, f"/v1/withdrawals/{withdrawal['id']}", {"BOOKED"}, {"REFUSED", "RELEASED"})
        self._count("withdrawals")

    async def _until(self, app: App, path: str, good: set[str], bad: set[str]) -> None:
        deadline = asyncio.get_running_loop().time() + SETTLES_WITHIN_SECONDS
        while True:
            thing = await app.get(path)
            status = thing.get("status") or thing.get("state")
            if status in good:
                return
            if status in bad:
                raise Refusal(
                    422, {"type": f"/problems/{status}", "detail": f"{path} ended {status}: {thing}"}
                )
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"{path} is still {status}")
            await asyncio.sleep(POLL_SECONDS)


def first_race() -> datetime:
    """Tomorrow at noon in the capital: the same moment however often the day is played again today."""
    return (datetime.now(UTC) + timedelta(days=1)).replace(hour=18, minute=0, second=0, microsecond=0)


def home_clabe(number: int) -> str:
    """The CLABE of a bettor's account at another bank, check digit included."""
    body = f"01218000{number:09d}"
    weights = (3, 7, 1)
    total = sum(int(digit) * weights[at % 3] % 10 for at, digit in enumerate(body))
    return body + str(-total % 10)
