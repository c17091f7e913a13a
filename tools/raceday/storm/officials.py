"""What officials do in a storm: suspend and lift, scratch, close, declare alike or not, object, rule, correct."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass
from datetime import timedelta

from tools.raceday.client import App, Json, Refusal
from tools.raceday.storm.reckoning import MARGINS
from tools.raceday.storm.told import Belongs, Result, Standstill, Told, now

FATES = ("agreed", "agreed", "agreed", "disputed", "objected", "scratched", "no contest")
WAITS_SECONDS = 60.0


@dataclass
class Stewards:
    """Four officials and an administrator."""

    officials: list[App]
    races: list[Json]
    markets: dict[str, Json]
    bettors: list[str]
    told: Told
    dice: random.Random
    acts: int = 0

    async def _do(self, path: str, body: Json | None = None, *, judge: int = 0) -> Json:
        self.acts += 1
        return await self.officials[judge].post(path, body or {}, f"{self.races[0]['id']}:{self.acts}")

    async def interfere(self, until: float) -> None:
        """Suspend this and that for a moment, until then."""
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(self.dice.uniform(0.5, 2.0))
            scope, subject = self.dice.choice((
                ("MARKET", self.dice.choice(sorted(self.markets))),
                ("EVENT", self.races[0]["event_id"]),
                ("USER", self.dice.choice(self.bettors)),
                ("GLOBAL", None),
            ))  # fmt: skip
            try:
                imposed = await self._do(
                    "/v1/suspensions", {"scope": scope, "subject": subject, "reason": "protest"}
                )
            except Refusal as refusal:
                self.told.counts[f"suspend {refusal.slug}"] += 1
                continue
            since = now()
            await asyncio.sleep(self.dice.uniform(0, 0.4))
            self.told.standstills.append(Standstill(scope, subject, since, now()))
            await self._do(f"/v1/suspensions/{imposed['id']}/lift", {"reason": "settled"})
            self.told.counts["suspended and lifted"] += 1

    async def fill_stables(self, until: float) -> None:
        """Until then bettors join one stable or the other, and horses come to run for them, while everybody bets."""
        names = [f"Cuadra {letter} {self.races[0]['id']}" for letter in "AB"]
        stables = [(await self._do("/v1/stables", {"name": name}))["id"] for name in names]
        joining = self.dice.sample(self.bettors, len(self.bettors) // 2)
        while joining and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(self.dice.uniform(1.0, 4.0))
            stable, bettor = self.dice.choice(stables), joining.pop()
            await self._do(f"/v1/stables/{stable}/members", {"user_id": bettor, "part": "GROOM"})
            self.told.members[bettor] = Belongs(stable, now())
            race = self.dice.choice(self.races)
            runner = self.dice.choice(race["runners"])["id"]
            if self.dice.random() < 0.5 and runner not in self.told.runs_for:
                await self._do(f"/v1/races/{race['id']}/runners/{runner}/stable", {"stable_id": stable})
                self.told.runs_for[runner] = Belongs(stable, now())
        self.told.counts["joined a stable"] = len(self.told.members)
        self.told.counts["runs for a stable"] = len(self.told.runs_for)

    async def scratch_a_runner(self) -> None:
        """One of a race of three is out, while everybody bets on it."""
        race = next(each for each in self.races if len(each["runners"]) > 2)
        runner = self.dice.choice(race["runners"])["id"]
        await self._do(f"/v1/races/{race['id']}/runners/{runner}/scratch", {"reason": "cojea"})
        self.told.scratched[runner] = "cojea"
        self.told.counts["runner scratched"] += 1

    async def decide(self, race: Json) -> None:
        """Run the race and find its result, in one of the ways there are."""
        path, fate = f"/v1/races/{race['id']}", self.dice.choice(FATES)
        self.told.counts[f"race {fate}"] += 1
        if fate == "scratched":
            await self._do(f"{path}/scratch", {"reason": "no corre"})
            self._closed(race)
            self.told.results[race["id"]] = Result(None, "no corre")
            return
        if self.dice.random() < 0.5:
            await self._do(f"/v1/markets/{self._open_market(race)}/close")
        else:
            await self._do(f"{path}/off")
        self._closed(race)
        if fate == "no contest":
            await self._do(f"{path}/no-contest", {"reason": "salida en falso"})
            self.told.results[race["id"]] = Result(None, "salida en falso")
            return
        one, other, third = self.dice.sample(range(4), 3)
        seen, wrong = self._seen(race), self._seen(race)
        agreed = fate != "disputed" or seen == wrong
        await self._do(f"{path}/results", seen, judge=one)
        view = await self._do(f"{path}/results", seen if agreed else wrong, judge=other)
        self.told.results[race["id"]] = Result(seen)
        if fate == "objected":
            try:
                view = await self._do(f"{path}/objections", {"reason": "se cruzó"}, judge=other)
            except Refusal as late:
                if late.slug != "objection-window-closed":
                    raise
        if view["status"] == "DISPUTED":
            ruled = self._seen(race)
            await self._do(f"{path}/ruling", {**ruled, "reason": "la foto"}, judge=third)
            self.told.results[race["id"]] = Result(ruled, versions=1 if fate == "disputed" else 2)

    def _closed(self, race: Json) -> None:
        for market in self.markets.values():
            if market["race_id"] == race["id"]:
                self.told.closed[market["id"]] = now()

    async def correct(self, race: Json) -> None:
        """Two officials find that the result was an error; one of them may have found something else first."""
        result = self.told.results[race["id"]]
        if result.seen is None:
            return
        path, right = f"/v1/races/{race['id']}/corrections", self._seen(race)
        one, other = self.dice.sample(range(4), 2)
        for judge in (one, other):
            await self._do(path, {**right, "reason": "se leyó mal la foto"}, judge=judge)
        result.seen = right
        result.versions += 1
        self.told.counts["corrected"] += 1

    def _seen(self, race: Json) -> Json:
        """What an official saw, or thinks so. Some bets come too late for it."""
        starting = [each["id"] for each in race["runners"] if each["id"] not in self.told.scratched]
        order = self.dice.sample(starting, len(starting))
        tie = self.dice.random() < 0.25
        places = [[*order[:2]], *([each] for each in order[2:])] if tie else [[each] for each in order]
        off = self.told.closed.get(self._first_market(race), now()) + timedelta(
            seconds=2 - self.dice.choice((0.0, 0.5, 1.5, 6.0)) * self.dice.random()
        )
        return {
            "winner": None if tie else order[0],
            "margin": None if tie else self.dice.choice(MARGINS),
            "off_time": off.isoformat(),
            "photo_sha256": hashlib.sha256(self.dice.randbytes(8)).hexdigest(),
            **({"places": places} if len(race["runners"]) > 2 else {}),
        }

    def _open_market(self, race: Json) -> str:
        """One of the race's, but none that is void since a horse of it is out."""
        return next(
            id
            for id, each in self.markets.items()
            if each["race_id"] == race["id"] and self.told.scratched.keys().isdisjoint(each["runners"])
        )

    def _first_market(self, race: Json) -> str:
        return next(id for id, each in self.markets.items() if each["race_id"] == race["id"])
