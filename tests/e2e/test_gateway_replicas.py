"""Two gateways: whichever one watches through, one hears the same; and one may go away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
from common.testing import Stack

from tests.e2e.test_live import Screen, book_of, listen, until
from tests.e2e.test_tracing import FIRST, opened, place
from tools.raceday.card import read_card


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(running: Stack, port: int) -> dict[str, str]:
    """What the supervisor tells a gateway, with a port of its own."""
    told = {
        f"{name.upper()}_URL": running.urls[name] for name in ("identity", "betting", "payments", "ledger")
    }
    return {
        **os.environ, **told, "SERVICE": "gateway", "HOST": "127.0.0.1", "PORT": str(port),
        "REDIS_URL": running.redis_url, "AMQP_URL": running.rabbitmq.url("gateway"), "DRAIN_SECONDS": "0",
    }  # fmt: skip


@asynccontextmanager
async def another_gateway(running: Stack, log: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A second real process of the gateway on the same servers."""
    port = free_port()
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", env=environment(running, port), stdout=out, stderr=out
        )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while True:
                with suppress(aiohttp.ClientError):
                    async with http.get(f"{url}/readyz") as answer:
                        if answer.status == 200:
                            break
                assert process.returncode is None, f"see {log}"
                await asyncio.sleep(0.1)
        yield url, process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def watching(
    http: aiohttp.ClientSession, url: str, session: str, market: str
) -> AsyncIterator[tuple[Screen, list[str]]]:
    screen, heard = Screen(), list[str]()
    headers = {"Authorization": f"Bearer {session}"}
    async with http.ws_connect(f"{url}/v1/live", headers=headers) as client:
        await client.send_json({"op": "sub", "ch": [f"market:{market}", "me"], "hb": 1, "conflate": 0})
        listening = asyncio.create_task(listen(client, screen, heard))
        await until(lambda: screen.images == 1)
        yield screen, heard
        listening.cancel()


async def test_clients_of_two_gateways_are_told_the_same(running: Stack, tmp_path: Path) -> None:
    race = read_card().races[2]
    async with (
        aiohttp.ClientSession() as http,
        another_gateway(running, tmp_path / "gateway.log") as (second, process),
    ):
        first = running.urls["gateway"]
        day = await opened(running, http, race)
        market, ana, beto = day.markets[race.number]["id"], day.bettors[FIRST], day.bettors[FIRST + 1]
        async with (
            watching(http, first, ana.session, market) as (here, _),
            watching(http, second, beto.session, market) as (there, heard_there),
        ):
            assert (here.clk, here.book) == (there.clk, there.book)
            await place(day, race, bettor=0, horse=0)  # through the first one
            await until(lambda: here.book and here.book == there.book)
            await place(day, race, bettor=1, horse=1)
            await until(lambda: not here.book and not there.book)
            assert await book_of(day, market) == here.book == there.book
            assert here.clk == there.clk, "one clock in all replicas"
            assert (here.images, there.images) == (1, 1)
            await until(lambda: any(each["event"] == "betting.offer.matched.v1" for each in there.own))
            assert day.ids[FIRST] not in "".join(heard_there)

            process.send_signal(signal.SIGKILL)
            await process.wait()
            official = day.officials[0]
            await official.post(f"/v1/markets/{market}/close", {}, f"{day.day}:close")
            await until(lambda: here.status == "CLOSED")
            assert there.status != "CLOSED"
            race_id = day.races[race.number]["id"]
            await official.post(f"/v1/races/{race_id}/scratch", {"reason": "lame"}, f"{day.day}:scratch")
            await until(lambda: here.status == "VOID")
        headers = {"Authorization": f"Bearer {beto.session}", "Last-Event-ID": f"{market}:{there.clk}"}
        async with http.get(f"{first}/v1/live/events?ch=market:{market}", headers=headers) as resumed:
            assert resumed.status == 200, "whoever was on the one that died is served by the other"
