"""Our own processes, killed at random."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from tools.stack.described import Stack

VICTIMS = (
    "payments",
    "attestor",
    "ledger",
    "ledger-receipts",
    "relay-payments",
    "relay-ledger",
    "payments",
    "attestor",
)
SHORTEST_PEACE_SECONDS = 0.3


@dataclass
class Killer:
    """kill -9, up to three of ours at once, whatever they are doing.

    The next are killed only when the last are back, and have been for about half as long as they were away: so a slow
    machine makes a slow day, and not one on which nothing is ever up for long enough to get anything done.
    """

    stack: Stack
    victims: tuple[str, ...] = VICTIMS
    killed: Counter[str] = field(default_factory=Counter)
    dice: random.Random = field(default_factory=random.Random)
    """When and whom is not drawn from the day's seed, on purpose."""

    async def work(self, stop: asyncio.Event) -> None:
        """Kill until told to stop."""
        loop = asyncio.get_running_loop()
        away_seconds = 2.0
        while not stop.is_set():
            peace_seconds = SHORTEST_PEACE_SECONDS + away_seconds * self.dice.uniform(0.2, 0.9)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), peace_seconds)
                return
            victims, began = set(self.dice.choices(self.victims, k=self.dice.randint(1, 3))), loop.time()
            for victim in victims:
                self.killed[victim] += await self._order("kill", victim, signal="KILL")
            for victim in victims:
                await self._order("wait", victim)
            away_seconds = loop.time() - began

    async def _order(self, act: str, process: str, **more: str) -> bool:
        """An order to the supervisor; whether it was carried out."""
        reader, writer = await asyncio.open_unix_connection(self.stack["control"])
        try:
            writer.write(json.dumps({"act": act, "process": process, **more}).encode() + b"\n")
            return "error" not in json.loads(await reader.readline() or b'{"error": "gone"}')
        finally:
            writer.close()
