"""Somebody who listens to every event from the beginning, and in the end knows what the books say from those alone."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from contracts.envelope import Envelope

from tools.raceday.storm.verdict import Books
from tools.stack.described import Stack

MOST_AT_ONCE = 5_000


@dataclass
class Listener:
    """A queue of its own at the broker, bound to all events; read through the broker's management."""

    stack: Stack
    http: aiohttp.ClientSession
    queue: str = field(default_factory=lambda: f"storm-{uuid4()}")
    events: dict[str, Envelope] = field(default_factory=dict)
    repeated: int = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """Hear everything from now on, until the block ends."""
        await self._ask("PUT", f"queues/{{vhost}}/{self.queue}", {"durable": True})
        await self._ask("POST", f"bindings/{{vhost}}/e/events/q/{self.queue}", {"routing_key": "#"})
        hearing = asyncio.create_task(self._keep_hearing())
        try:
            yield self
        finally:
            hearing.cancel()
            await self._ask("DELETE", f"queues/{{vhost}}/{self.queue}", None)

    async def _keep_hearing(self) -> None:
        while True:
            await self.hear()
            await asyncio.sleep(0.5)

    async def hear(self) -> None:
        """Take whatever has come since."""
        wanted = {"count": MOST_AT_ONCE, "ackmode": "ack_requeue_false", "encoding": "auto"}
        while messages := await self._ask("POST", f"queues/{{vhost}}/{self.queue}/get", wanted):
            for message in messages:
                event = Envelope.model_validate_json(message["payload"])
                self.repeated += str(event.id) in self.events
                self.events.setdefault(str(event.id), event)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        broker = self.stack["rabbitmq"]
        url = f"http://{broker['host']}:{broker['management']}/api/{path.format(vhost=broker['vhost'])}"
        auth = aiohttp.BasicAuth("admin", broker["users"]["admin"])
        async with self.http.request(method, url, json=body, auth=auth) as answer:
            answer.raise_for_status()
            return (
                await answer.json()
                if answer.content_type == "application/json" and answer.status == 200
                else None
            )

    async def differs(self, books: Books, ledger: str) -> list[str]:
        """What the events tell otherwise than the books, or not at all."""
        return [*self._gaps(), *self._bets(books), *self._offers(books), *await self._journal(ledger)]

    def _gaps(self) -> Iterator[str]:
        versions: dict[str, list[int]] = defaultdict(list)
        for event in self.events.values():
            if event.source == "/betting" and event.type.startswith("betting."):
                versions[event.partitionkey].append(event.sequence)
        for aggregate, found in versions.items():
            if sorted(found) != list(range(1, len(found) + 1)):
                yield f"the events of {aggregate} have gaps: {len(found)} of {max(found)}"

    def _bets(self, books: Books) -> Iterator[str]:
        told = {
            event.data["fill_id"]: (
                event.data["maker"],
                event.data["taker"],
                Fraction(str(event.data["pot"])),
            )
            for event in self.events.values()
            if event.type == "betting.offer.matched.v1"
        }
        kept = {str(bet["id"]): Fraction(bet["pot"]) for bet in books.bets}
        if {id: pot for id, (_, _, pot) in told.items()} != kept:
            yield f"the events tell of {len(told)} bets, the books of {len(kept)}, or of other pots"

    def _offers(self, books: Books) -> Iterator[str]:
        """What is left of each offer, from the events about it in their order."""
        left: dict[str, Fraction] = defaultdict(Fraction)
        for event in sorted(self.events.values(), key=lambda event: event.sequence):
            data: Any = event.data
            match event.type:
                case "betting.offer.placed.v1":
                    left[data["offer_id"]] = Fraction(data["stake"])
                case "betting.offer.matched.v1":
                    for part in (data["maker"], data["taker"]):
                        left[part["offer_id"]] -= Fraction(part["risked"])
                case "betting.offer.cancelled.v1" | "betting.offer.lapsed.v1" if data["offer_id"] in left:
                    left[data["offer_id"]] -= Fraction(data["released"])
                case _:
                    pass
        for offer in books.offers.values():
            if left.get(str(offer["id"]), Fraction(0)) != offer["remaining"]:
                yield f"by the events offer {offer['id']} has {left.get(str(offer['id']))} left, and it has {offer['remaining']}"

    async def _journal(self, ledger: str) -> list[str]:
        """Entries of bets that no event told of, or that one told otherwise."""
        connection = await asyncpg.connect(ledger)
        try:
            rows = await connection.fetch(
                """
                SELECT e.id, array_agg(a.path || ' ' || abs(p.amount)::numeric(20, 2) ORDER BY p.leg) AS legs
                  FROM entry e JOIN posting p USING (ledger_id, sequence) JOIN account a ON a.id = p.account_id
                 WHERE e.kind LIKE 'bet.%' OR e.kind = 'debt.repay' GROUP BY e.id
                """
            )
        finally:
            await connection.close()
        told = {
            event.data["id"]: sorted(f"{leg['account']} {leg['amount']}" for leg in event.data["postings"])  # type: ignore[index,union-attr,call-overload]
            for event in self.events.values()
            if event.type == "ledger.entry.committed.v1"
        }
        wrong = [str(row["id"]) for row in rows if told.get(str(row["id"])) != sorted(row["legs"])]
        return (
            [f"{len(wrong)} of {len(rows)} entries are not told of as they are: {wrong[:3]}"] if wrong else []
        )
