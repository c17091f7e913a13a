"""Live updates through the gateway: what is committed reaches whoever watches, and nobody else's name with it."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import aiohttp
from common.testing import Stack

from tests.e2e.test_tracing import FIRST, opened, place
from tools.raceday.card import read_card
from tools.raceday.day import Day

WITHIN_SECONDS = 20.0


class Screen:
    """A client that keeps its book by what it is told, and complains when the story has a hole."""

    def __init__(self) -> None:
        self.clk = -1
        self.status = ""
        self.book: dict[tuple[str, int, int], str] = {}
        self.images = self.deltas = 0
        self.own: list[dict[str, Any]] = []

    def take(self, message: dict[str, Any]) -> None:
        if message["op"] == "me":
            self.own.append(message)
        elif message["op"] == "status":
            self.status = message["status"]
        elif message["op"] == "img":
            self.images += 1
            self.book, self.clk, self.status = {}, message["clk"], message["status"]
            self._levels(message)
        elif message["op"] == "delta":
            self.deltas += 1
            assert message["prev"] == self.clk, "a hole in the story"
            self.clk = message["clk"]
            self._levels(message)

    def _levels(self, message: dict[str, Any]) -> None:
        for runner, levels in message["book"].items():
            for risk, win, amount in levels:
                self.book[runner, risk, win] = amount
        self.book = {key: amount for key, amount in self.book.items() if amount.strip("0.")}


async def listen(socket: aiohttp.ClientWebSocketResponse, screen: Screen, heard: list[str]) -> None:
    async for message in socket:
        heard.append(str(message.data))
        screen.take(json.loads(message.data))


async def look_and_log_out(http: aiohttp.ClientSession, running: Stack, session: str, market: str) -> None:
    """Watch the market last of all, and end the session: whoever else watches must not hear less for it."""
    headers = {"Authorization": f"Bearer {session}"}
    async with http.ws_connect(f"{running.urls['gateway']}/v1/live", headers=headers) as socket:
        await socket.send_json({"op": "sub", "ch": [f"market:{market}"]})
        assert (await socket.receive_json(timeout=WITHIN_SECONDS))["op"] == "img"
        async with http.post(f"{running.urls['gateway']}/v1/logout", headers=headers) as answer:
            assert answer.status == 204


async def until(done: Any) -> None:
    async with asyncio.timeout(WITHIN_SECONDS):
        while not done():
            await asyncio.sleep(0.05)


async def book_of(day: Day, market: str) -> dict[tuple[str, int, int], str]:
    view = await day.bettors[FIRST].get(f"/v1/markets/{market}")
    return {
        (side["runner_id"], level["risk"], level["win"]): level["amount"]
        for side in view["book"]
        for level in side["levels"]
    }


async def test_a_market_is_watched_from_offer_to_settlement(running: Stack) -> None:
    race = read_card().races[0]
    async with aiohttp.ClientSession() as http:
        day = await opened(running, http, race)
        market = day.markets[race.number]["id"]
        ana, beto = day.bettors[FIRST], day.bettors[FIRST + 1]
        screen = Screen()
        heard: list[str] = []
        headers = {"Authorization": f"Bearer {ana.session}"}
        async with http.ws_connect(f"{running.urls['gateway']}/v1/live", headers=headers) as socket:
            await socket.send_json({"op": "sub", "ch": [f"market:{market}", "me"], "hb": 1, "conflate": 0})
            listening = asyncio.create_task(listen(socket, screen, heard))
            await until(lambda: screen.images == 1)
            await place(day, race, bettor=0, horse=0)
            await until(lambda: list(screen.book.values()) == ["50.00"])
            await place(day, race, bettor=1, horse=1)
            await until(lambda: not screen.book)
            assert await book_of(day, market) == screen.book
            await until(lambda: {"betting.offer.matched.v1"} <= {each["event"] for each in screen.own})
            await until(
                lambda: any(
                    each.get("kind") == "bet.match" and each["account"] == "held" for each in screen.own
                )
            )
            await until(lambda: any('"op": "hb"' in each for each in heard))
            await look_and_log_out(http, running, beto.session, market)
            official = day.officials[0]
            await official.post(f"/v1/markets/{market}/close", {}, f"{day.day}:close")
            await until(lambda: screen.status == "CLOSED")
            race_id = day.races[race.number]["id"]
            await official.post(f"/v1/races/{race_id}/scratch", {"reason": "lame"}, f"{day.day}:scratch")
            # Booked by then: nothing is left in an escrow for the tests that come after.
            await until(lambda: screen.status == "VOID")
            listening.cancel()
        everything = "".join(heard)
        assert day.ids[FIRST + 1] not in everything, "nobody hears who is on the other side"
        # The image is for whoever begins to watch, and for whoever reads nothing for `LATE_SECONDS`. Everything else
        # comes as a delta, also what the gateway itself had missed and had to read again.
        assert screen.images == 1
        assert screen.deltas >= 2
        assert ana is not beto


async def test_who_was_away_gets_what_was_missed(running: Stack) -> None:
    """By SSE: resuming where one was gives one delta; from a moment nobody knows, an image."""
    race = read_card().races[1]
    async with aiohttp.ClientSession() as http:
        day = await opened(running, http, race)
        market = day.markets[race.number]["id"]
        url = f"{running.urls['gateway']}/v1/live/events?ch=market:{market}"
        headers = {"Authorization": f"Bearer {day.bettors[FIRST].session}"}
        async with http.get(url, headers=headers) as watching:  # keeps the market in the gateway's memory
            id, image = await event(watching)
            assert image["op"] == "img"
            await place(day, race, bettor=0, horse=0)
            moved_id, delta = await event(watching)
            assert (delta["op"], delta["prev"]) == ("delta", image["clk"])
            async with http.get(url, headers=headers | {"Last-Event-ID": id}) as again:
                _, status = await event(again)
                assert (status["op"], status["status"]) == ("status", "OPEN")
                _, missed = await event(again)
                assert (missed["op"], missed["prev"], missed["clk"]) == ("delta", image["clk"], delta["clk"])
                assert missed["book"] == delta["book"]
            async with http.get(url, headers=headers | {"Last-Event-ID": f"{market}:0"}) as late:
                _, whole = await event(late)
                assert (whole["op"], whole["clk"]) == ("img", delta["clk"])
            assert moved_id.endswith(str(delta["clk"]))


async def event(answer: aiohttp.ClientResponse) -> tuple[str, dict[str, Any]]:
    """The next event that is no heartbeat: its id and its data."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            id = (await answer.content.readline()).decode().removeprefix("id: ").strip()
            data = json.loads((await answer.content.readline()).decode().removeprefix("data: "))
            await answer.content.readline()
            if data["op"] != "hb":
                return id, data


async def test_nobody_watches_without_a_session(running: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        for path in ("/v1/live", "/v1/live/events?ch=me"):
            for headers in ({}, {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}):
                async with http.get(running.urls["gateway"] + path, headers=headers) as answer:
                    assert answer.status == 401
