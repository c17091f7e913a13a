"""What bettors do in a storm: place, take back, challenge, answer, ask twice; wherever and whenever they like."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta

from tools.raceday.client import App, Json, Refusal
from tools.raceday.plan import RATIOS, pesos
from tools.raceday.storm.told import Act, Told, now

LADDER = (*RATIOS, *((win, risk) for risk, win in RATIOS if risk != win))
RATIOS_TO_MEET = (*LADDER, *((1, 1), (10, 9), (9, 10)) * 6)
"""As often as not near even money: offers that are far apart never meet, and a storm without bets shows little."""
PAUSE_SECONDS = 0.1


@dataclass
class Bettor:
    """One person with a mind of their own: what they do is drawn from the storm's seed and their number."""

    number: int
    app: App
    id: str
    others: list[str]
    markets: dict[str, Json]
    """As they were last seen, by anybody."""
    told: Told
    dice: random.Random
    mine: list[str] = field(default_factory=list)
    acts: int = 0

    async def play(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        does = (self._place, self._cancel, self._cancel_all, self._challenged, self._ask_again, self._look)
        while loop.time() < until:
            await self.dice.choices(does, weights=(55, 14, 3, 12, 10, 6))[0]()
            await asyncio.sleep(self.dice.random() * PAUSE_SECONDS)

    def _name(self, what: str) -> str:
        self.acts += 1
        return f"{self.id}:{what}:{self.acts}"

    async def _place(self) -> None:
        market = await self._one_that_is_open()
        await self._offer(market, self.dice.randrange(2), self.dice.choice(RATIOS_TO_MEET), **self._options())

    async def _one_that_is_open(self) -> Json:
        """By what was seen of it last; and nine in ten look once more before they offer. The others find it changed."""
        hopeful = sorted(id for id, each in self.markets.items() if each["status"] in {"OPEN", "SUSPENDED"})
        looks = self.dice.random() < 0.9
        one = self.dice.choice(hopeful if hopeful and looks else sorted(self.markets))
        if looks:
            self.markets[one] = await self.app.get(f"/v1/markets/{one}")
        return self.markets[one]

    def _options(self) -> Json:
        match self.dice.randrange(12):
            case 0:
                return {"fill_or_kill": True}
            case 1:
                return {"min_fill": "1.00"}
            case 2:
                return {"expires_at": (now() + timedelta(seconds=self.dice.uniform(0.05, 3))).isoformat()}
            case 3:
                return {"challenges": self.dice.choice(self.others)}
            case _:
                return {}

    async def _offer(self, market: Json, side: int, ratio: tuple[int, int], **more: str | bool) -> Act:
        risk, win = ratio
        stake = risk * self.dice.randint(max(1, 100 // risk), 20_000 // risk)
        wanted = {
            "market_id": market["id"], "market_version": market["version"], "runner_id": market["runners"][side],
            "risk": risk, "win": win, "stake": pesos(stake), "currency": "MXN", "repeat": True, **more,
        }  # fmt: skip
        act = await self.told.ask("offer", self.app, self.number, "/v1/offers", wanted, self._name("offer"))
        if act.answer is not None:
            self.mine.append(act.answer["id"])
        elif act.slug in {"stale-market", "market-not-open"}:
            self.markets[market["id"]] = await self.app.get(f"/v1/markets/{market['id']}")
        return act

    async def _cancel(self) -> None:
        if self.mine:
            offer = self.dice.choice(self.mine[-20:])
            await self.told.ask(
                "cancel",
                self.app,
                self.number,
                f"/v1/offers/{offer}",
                {},
                self._name("cancel"),
                method="DELETE",
            )

    async def _cancel_all(self) -> None:
        one = self.dice.choice((None, self.dice.choice(sorted(self.markets))))
        await self.told.ask(
            "cancel all", self.app, self.number, "/v1/offers/cancel", {"market_id": one}, self._name("all")
        )

    async def _challenged(self) -> None:
        """Take a challenge, with a ratio that crosses it, or say no."""
        found = (await self.app.get("/v1/challenges"))["items"]
        if not found:
            return
        challenge = self.dice.choice(found)
        if self.dice.random() < 0.4:
            path = f"/v1/challenges/{challenge['id']}/decline"
            await self.told.ask("decline", self.app, self.number, path, {}, self._name("decline"))
            return
        market = self.markets[challenge["market_id"]]
        side = 1 - market["runners"].index(challenge["runner_id"])
        await self._offer(market, side, (challenge["win"], challenge["risk"]), answers=challenge["id"])

    async def _ask_again(self) -> None:
        """The same key: the same answer, to the letter."""
        earlier = [act for act in self.told.acts[-200:] if act.who == self.number and act.answered_at]
        if not earlier:
            return
        act = self.dice.choice(earlier)
        path, wanted = act.wanted["path"], {name: act.wanted[name] for name in act.wanted if name != "path"}
        try:
            again: Json | None = await (
                self.app.delete(path, act.name)
                if act.kind == "cancel"
                else self.app.post(path, wanted, act.name)
            )
        except Refusal as refusal:
            # What was refused at the door has left no trace, so it is looked at anew: it may be taken now.
            if act.answer is not None:
                self.told.broken.append(f"{act.name} was done, and is now refused: {refusal}")
            return
        if act.answer is None:
            act.answer, act.slug = again, ""
            act.answered_at = now()
        elif again != act.answer:
            self.told.broken.append(f"{act.name} was answered {act.answer}, and then {again}")
        self.told.counts["asked again"] += 1

    async def _look(self) -> None:
        await self.app.get(
            self.dice.choice(("/v1/offers?open=true", "/v1/bets", "/v1/exposure", "/v1/profits"))
        )
