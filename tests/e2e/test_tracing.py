"""One bet is one trace: through the gateway, betting, the ledger, the relays and both consumers.

The services export by OTLP as in production; the collector is this test, in memory. They start no trace by
themselves here (`tools.stack with --traces`), but follow a caller who samples one.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from common.testing import Stack
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tools.raceday.card import RaceOnCard, read_card
from tools.raceday.day import Day
from tools.raceday.faults import nothing
from tools.raceday.plan import Plan
from tools.raceday.staff import officials

FIRST = 720
"""The first of this file's bettors: nobody of the race day."""
WITHIN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Span:
    service: str
    name: str
    id: bytes
    parent: bytes


@dataclass(slots=True)
class Collector:
    """An OpenTelemetry collector that keeps the spans of one trace."""

    trace_id: bytes
    spans: list[Span] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        for resource in told.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [
                Span(names["service.name"], span.name, span.span_id, span.parent_span_id)
                for scope in resource.scope_spans
                for span in scope.spans
                if span.trace_id == self.trace_id
            ]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )

    @property
    def told(self) -> set[tuple[str, str]]:
        return {(span.service, span.name) for span in self.spans}

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/v1/traces", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield
        finally:
            await runner.cleanup()


EXPECTED = {
    ("gateway", "POST /v1/offers"),
    ("betting", "POST /v1/offers"),
    ("relay-betting", "betting.offer.placed.v1 send"),
    ("relay-betting", "betting.offer.matched.v1 send"),
    ("relay-betting", "ledger.commands.betting send"),  # the match, as a command
    ("ledger", "ledger.commands.betting process"),
    (
        "relay-ledger",
        "ledger.entry.committed.v1.bet.hold send",
    ),  # asked for with other bettors' in one request
    ("relay-ledger", "ledger.entry.committed.v1.bet.match send"),
}


async def test_placing_a_bet_is_one_trace(running: Stack) -> None:
    trace_id, root = secrets.token_bytes(16), secrets.token_bytes(8)
    collector = Collector(trace_id)
    race = read_card().races[0]
    async with (
        aiohttp.ClientSession() as http,
        collector.listening(urlsplit(running.urls["traces"]).port or 0),
    ):
        day = await opened(running, http, race)
        await place(day, race, bettor=0, horse=0)
        http.headers["traceparent"] = f"00-{trace_id.hex()}-{root.hex()}-01"
        placed = await place(day, race, bettor=1, horse=1)
        assert placed["fills"], "the second offer matches the first"
        async with asyncio.timeout(WITHIN_SECONDS):
            while not collector.told >= EXPECTED:
                await asyncio.sleep(0.1)
    known = {root, *(span.id for span in collector.spans)}
    assert {span.parent for span in collector.spans} <= known, "no span hangs in the air"
    assert {span.service for span in collector.spans if span.parent == root} == {"gateway"}, (
        "everything else is below what the caller asked"
    )


async def opened(running: Stack, http: aiohttp.ClientSession, race: RaceOnCard) -> Day:
    """Two bettors with money and a market of one race."""
    card = read_card()
    day = Day(
        running.urls["gateway"],
        running.urls["rail"],
        type(card)(card.event, card.venue, card.permit, (race,)),
        Plan({}, {}),
        f"trace-{secrets.token_hex(4)}",
        lambda _: None,
        nothing,
    )
    await day.prepare(http, 2, await officials(running.model_dump(mode="json"), 2), first=FIRST)
    return day


async def place(day: Day, race: RaceOnCard, *, bettor: int, horse: int) -> dict[str, object]:
    """Offer even money on a horse."""
    market, runners = day.markets[race.number], day.races[race.number]["runners"]
    wanted = {
        "market_id": market["id"],
        "market_version": market["version"],
        "runner_id": runners[horse]["id"],
        "risk": 1,
        "win": 1,
        "stake": "50.00",
        "currency": "MXN",
    }
    return await day.bettors[FIRST + bettor].post("/v1/offers", wanted, f"{day.day}:offer:{bettor}")
