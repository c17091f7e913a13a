"""The storm itself: who is in it, how long it lasts, what is killed, and what must be true when it has passed."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction

import aiohttp

from tools.paychaos.checks import superuser
from tools.paychaos.kills import Killer
from tools.raceday.books import UnsoundBooks, close_books
from tools.raceday.card import read_card
from tools.raceday.client import App, Json, Tally
from tools.raceday.day import Day, Say, first_race
from tools.raceday.faults import nothing
from tools.raceday.people import person
from tools.raceday.plan import DEPOSIT_CENTAVOS, Plan
from tools.raceday.staff import create, officials
from tools.raceday.storm import verdict
from tools.raceday.storm.bettors import Bettor
from tools.raceday.storm.heard import Listener
from tools.raceday.storm.officials import Stewards
from tools.raceday.storm.told import Told
from tools.stack.described import Stack

VICTIMS = (("betting", "betting-settler"), ("ledger",), ("relay-betting", "relay-ledger"))
"""Each group is killed at its own times: the next when the last are back."""
BETTORS = 12
RACES = 6
"""Two horses each, and one more race of three."""
STATE, TAX = "SON", ("isr", 137)
WITHIN_SECONDS = 90.0


@dataclass
class Storm:
    """One storm on a fresh stack. Raises `UnsoundBooks` with everything that is not as it must be."""

    stack: Stack
    seed: int
    seconds: float
    http: aiohttp.ClientSession
    say: Say
    told: Told = field(default_factory=Told)
    markets: dict[str, Json] = field(default_factory=dict)
    opened: dict[str, Json] = field(default_factory=dict)
    """The markets as they were opened."""

    async def run(self) -> None:
        async with Listener(self.stack, self.http).listening() as listener:
            await self._pass(listener)

    async def _pass(self, listener: Listener) -> None:
        day = await self._gather()
        stewards = await self._programme(day)
        killers = [
            Killer(self.stack, each, dice=random.Random(f"{self.seed}:kills:{each}")) for each in VICTIMS
        ]
        stop = asyncio.Event()
        killing = asyncio.gather(*(killer.work(stop) for killer in killers))
        try:
            await self._trade(day, stewards)
            await self._rest("while offers are open", lambda books: verdict.holds_and_escrows(books))
            await self._replay(day)
            await self._results(stewards)
            await self._settled()
            for race in stewards.dice.sample(stewards.races, len(stewards.races) // 2) * 2:
                await stewards.correct(race)
                await self._settled()
        finally:
            stop.set()
            await killing
        self.say(f"killed: {dict(sum((killer.killed for killer in killers), Counter[str]()))}")
        await self._judge(day, listener)

    async def _gather(self) -> Day:
        card = replace(read_card(), races=())
        gateway, rail = self.stack["urls"]["gateway"], self.stack["urls"]["rail"]
        day = Day(gateway, rail, card, Plan({}, {}), f"storm-{self.seed}", self.say, nothing)
        await day.prepare(self.http, BETTORS, await officials(self.stack, 4))
        return day

    async def _tax(self, day: Day, starts: datetime) -> None:
        """What the law takes in our state, as two administrators say."""
        asker, decider = [App(self.http, day.gateway, Tally()) for _ in range(2)]
        for number, admin in enumerate((asker, decider), start=950):
            who = replace(person(number, "admin"), email=f"storm-{number}@demo.mx")
            await admin.login(await create(self.stack, who, "admin"))
        rate = {
            "state": STATE, "valid_from": starts.date().isoformat(), "name": TAX[0], "bps": TAX[1], "reason": "ley",
        }  # fmt: skip
        asked = await asker.post("/v1/withholding-rates", rate, f"{day.day}:tax")
        await decider.post(f"/v1/withholding-rates/{asked['id']}/approve", {}, f"{day.day}:tax")

    async def _programme(self, day: Day) -> Stewards:
        """An event in a state with a tax, and markets of every kind about its races."""
        dice, official, starts = random.Random(f"{self.seed}:programme"), day.officials[0], first_race()
        await self._tax(day, starts)

        async def do(path: str, body: Json) -> Json:
            return await official.post(path, body, f"{day.day}:{secrets.token_hex(8)}")

        wanted = {"name": "Tormenta", "venue": day.card.venue, "permit": day.card.permit, "starts_at": starts.isoformat(),
                  "objection_seconds": 2, "state": STATE}  # fmt: skip
        event = await do("/v1/events", wanted)
        await do(f"/v1/events/{event['id']}/publish", {})
        races = []
        for number in range(1, RACES + 2):
            horses = [f"Caballo {number}-{each}" for each in range(3 if number > RACES else 2)]
            race = await do(
                f"/v1/events/{event['id']}/races",
                {"number": number, "distance_m": 300, "horses": horses,
                 "starts_at": (starts + timedelta(minutes=20 * number)).isoformat()},
            )  # fmt: skip
            races.append(race)
            runners = [each["id"] for each in race["runners"]]
            for terms in _questions(runners, dice):
                market = await do(f"/v1/races/{race['id']}/market", terms)
                self.markets[market["id"]] = self.opened[market["id"]] = market
        return Stewards(
            day.officials,
            races,
            self.opened,
            list(day.ids.values()),
            self.told,
            random.Random(f"{self.seed}:stewards"),
        )

    async def _trade(self, day: Day, stewards: Stewards) -> None:
        until, ids = asyncio.get_running_loop().time() + self.seconds, day.ids
        bettors = [
            Bettor(number, app, ids[number], [id for id in ids.values() if id != ids[number]], self.markets, self.told,
                   random.Random(f"{self.seed}:{number}"))
            for number, app in day.bettors.items()
        ]  # fmt: skip

        async def scratch() -> None:
            await asyncio.sleep(self.seconds * 0.6)
            await stewards.scratch_a_runner()

        stewarding = (stewards.interfere(until), stewards.fill_stables(until), scratch())
        await asyncio.gather(*(each.play(until) for each in bettors), *stewarding)
        self.say(f"{len(self.told.acts)} acts: {dict(sorted(self.told.counts.items()))}")
        self._bettors = bettors

    async def _results(self, stewards: Stewards) -> None:
        """The races are decided one after the other, while there is still betting on those to come."""
        until = asyncio.get_running_loop().time() + self.seconds
        betting = asyncio.gather(*(each.play(until) for each in self._bettors))
        for race in stewards.dice.sample(stewards.races, len(stewards.races)):
            await asyncio.sleep(stewards.dice.uniform(0, 1.5) * self.seconds / len(stewards.races))
            await stewards.decide(race)
        await betting
        self.say(f"decided: {dict(sorted(self.told.counts.items()))}")

    async def _settled(self) -> None:
        """Every market is settled or void, in as many versions as its race has results."""

        def waiting(books: verdict.Books) -> Iterable[str]:
            for id, market in books.markets.items():
                result = self.told.results.get(str(market["race_id"]))
                if market["status"] not in verdict.ENDED:
                    yield f"market {id} is {market['status']}"
                elif market["status"] == "SETTLED" and result and market["settled_result"] < result.versions:
                    yield f"market {id} is settled on result {market['settled_result']} of {result.versions}"

        await self._rest("everything is settled", waiting)

    async def _rest(self, what: str, check: Callable[[verdict.Books], Iterable[str]]) -> verdict.Books:
        """The books, once nothing is on its way and they pass. Raises `UnsoundBooks` if that takes too long."""
        loop = asyncio.get_running_loop()
        began, wrong = loop.time(), ["not looked at yet"]
        while loop.time() < began + WITHIN_SECONDS:
            try:
                books = await verdict.read_books(
                    superuser(self.stack, "betting"), superuser(self.stack, "ledger")
                )
            except OSError:
                continue
            wrong = [*verdict.not_at_rest(books), *check(books)]
            if not wrong:
                self.say(f"{what}: agreed after {loop.time() - began:.1f} s, {len(books.bets)} bets")
                return books
            await asyncio.sleep(0.5)
        raise UnsoundBooks(f"{what}: {len(wrong)} things are not so: {wrong[:10]}")

    async def _replay(self, day: Day) -> None:
        """A market's history, replayed from the beginning, is its book."""
        app = day.officials[0]
        for id in self.markets:
            levels: dict[tuple[str, int, int], str] = {}
            after: int | None = 0
            while after is not None:
                page = await app.get(f"/v1/markets/{id}/history?after={after}&limit=1000")
                for change in page["items"]:
                    levels |= _levels(change)
                after = page["next"]
            now = _levels(await app.get(f"/v1/markets/{id}"))
            if {level: amount for level, amount in levels.items() if Fraction(amount)} != now:
                raise UnsoundBooks(f"the history of market {id} is not its book: {levels}, {now}")
        self.say(f"{len(self.markets)} histories replayed")

    async def _judge(self, day: Day, listener: Listener) -> None:
        """Everything, once all of it has come to an end."""
        bettors = list(day.ids.values())
        deposit = Fraction(DEPOSIT_CENTAVOS, 100)

        def whole(books: verdict.Books) -> Iterable[str]:
            yield from verdict.holds_and_escrows(books)
            yield from verdict.money(books, self.told, self.opened, deposit, bettors, TAX)

        books = await self._rest("the money", whole)
        names = {id: f"bettor-{number}" for number, id in day.ids.items()}
        await close_books(self.stack, names, {id: id for id in self.markets})
        await listener.hear()
        wrong = [
            *self.told.broken,
            *verdict.answers(books, self.told),
            *await listener.differs(books, superuser(self.stack, "ledger")),
        ]
        if wrong:
            raise UnsoundBooks(f"{len(wrong)} things are not so: {wrong[:20]}")
        if await self._drift():
            raise UnsoundBooks("what the ledger keeps has drifted from its journal")
        self.say(
            f"{len(listener.events)} events heard, {listener.repeated} of them again; no drift; "
            f"bets are timed within {verdict.clocks_apart(books, self.told).total_seconds():.3f} s of their answers"
        )

    async def _drift(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ledger", "rebuild", "--check", "--ledger", "el-carril",
            env=os.environ | {"DATABASE_DSN": self.stack["dsn"]["ledger_reader"]},
        )  # fmt: skip
        return await process.wait() != 0


def _questions(runners: list[str], dice: random.Random) -> Iterable[Json]:
    """The terms of the markets about a race: every pair of three, or who wins and an advantage."""

    def terms(**more: str | list[str]) -> Json:
        bps, tie_rule = dice.choice((0, 333, 2000)), dice.choice(("PUSH", "SPLIT_POT"))
        return {"commission_bps": bps, "tie_rule": tie_rule, "min_stake": "0.50", **more}

    if len(runners) > 2:
        for out in runners:
            yield terms(runners=[each for each in runners if each != out])
        return
    yield terms()
    if dice.random() < 0.6:
        yield terms(
            kind="VENTAJA", giver=dice.choice(runners), line=dice.choice(("cabeza", "pescuezo", "faja"))
        )


def _levels(shown: Json) -> dict[tuple[str, int, int], str]:
    return {
        (side["runner_id"], level["risk"], level["win"]): level["amount"]
        for side in shown["book"]
        for level in side["levels"]
    }
