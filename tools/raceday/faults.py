"""Kills in the middle of the day: each victim once, during traffic to it, brought back by the supervisor."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

SCHEDULE = {
    ("people register and deposit", 0.3): "payments",
    ("people register and deposit", 0.6): "postgres",
    ("offers placed", 0.2): "ledger",
    ("offers placed", 0.4): "betting",
    ("offers placed", 0.6): "relay-betting",
    ("offers placed", 0.8): "rabbitmq",
    ("gates and results", 0.5): "betting-settler",
}
"""Victim by act and how far the act has come."""


@dataclass(slots=True)
class Faults:
    """Kills each victim when its moment has come, while the acts go on.

    `races` is how many races share the act "offers placed": their steps add up.
    """

    stack: str
    races: int
    say: Callable[[str], None]
    _steps: dict[str, int] = field(default_factory=dict)
    _killed: set[str] = field(default_factory=set)
    _kills: list[asyncio.Task[None]] = field(default_factory=list)

    async def milestone(self, act: str, of: int) -> None:
        """One more step of `act` is done."""
        total = of * self.races if act == "offers placed" else of
        step = self._steps[act] = self._steps.get(act, 0) + 1
        for (when, share), victim in SCHEDULE.items():
            if when == act and step >= share * total and victim not in self._killed:
                self._killed.add(victim)
                self._kills.append(asyncio.create_task(self._kill(victim, act, step, total)))

    async def finish(self) -> None:
        """Raises RuntimeError unless every victim was killed."""
        await asyncio.gather(*self._kills)
        missed = set(SCHEDULE.values()) - self._killed
        if missed:
            raise RuntimeError(f"never killed: {sorted(missed)}")

    async def _kill(self, victim: str, act: str, step: int, total: int) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tools.stack",
            "kill",
            victim,
            "KILL",
            "--name",
            self.stack,
            env=dict(os.environ),
        )
        if await process.wait() != 0:
            raise RuntimeError(f"could not kill {victim}")
        self.say(f"  kill -9 {victim} during {act}, after step {step} of {total}")


async def nothing(act: str, of: int) -> None:
    """The milestone of a day without faults."""
