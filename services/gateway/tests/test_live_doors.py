"""The doors to live updates when betting does not answer: what is not known is not told as if it were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from gateway.domain import Service
from gateway.live import hub

from services.gateway.tests.conftest import Behind, Client
from services.gateway.tests.people import bettor
from services.gateway.tests.upstream import Upstream

MARKET = uuid4()


def _broken(betting: Upstream) -> None:
    betting.drop = True


def _nonsense(betting: Upstream) -> None:
    """It answers 200 with what is no market."""


def _cut_short(betting: Upstream) -> None:
    betting.drop_after_bytes = 10


def _token_refused(betting: Upstream) -> None:
    betting.refuse_token = True


@pytest.mark.parametrize("misbehave", [_broken, _nonsense, _cut_short, _token_refused])
async def test_a_market_that_cannot_be_read_is_not_said_to_be_missing(
    gateway: Client, behind: Behind, misbehave: Callable[[Upstream], None]
) -> None:
    session = await bettor(gateway)
    misbehave(behind.upstreams[Service.BETTING])
    answer = await gateway.get(f"/v1/live/events?ch=market:{MARKET}", headers=session)
    assert answer.status == 503
    assert (await answer.json())["type"] == "/problems/market-unavailable"
    assert answer.headers["Retry-After"] == "1"
    async with gateway.ws_connect("/v1/live", headers=session) as socket:
        for _ in range(2):  # and the connection lasts
            await socket.send_json({"op": "sub", "ch": [f"market:{MARKET}"]})
            told = await socket.receive_json(timeout=10)
            assert told["op"] == "error"
            assert (told["problem"]["status"], told["problem"]["type"]) == (
                503,
                "/problems/market-unavailable",
            )


async def test_a_market_that_there_is_not_is_missing(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    behind.upstreams[Service.BETTING].missing = True
    answer = await gateway.get(f"/v1/live/events?ch=market:{MARKET}", headers=session)
    assert answer.status == 404
    async with gateway.ws_connect("/v1/live", headers=session) as socket:
        await socket.send_json({"op": "sub", "ch": [f"market:{MARKET}"]})
        assert (await socket.receive_json(timeout=10))["problem"]["status"] == 404


async def test_nobody_takes_all_the_connections_there_are(
    gateway: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One session used to open as many as the process has files; then nobody's money came in any more."""
    monkeypatch.setattr(hub, "MOST_OF_A_PERSON", 3)
    monkeypatch.setattr(hub, "MOST_CLIENTS", 4)
    greedy, other, third = [await bettor(gateway, number) for number in range(3)]
    path = "/v1/live/events?ch=me"
    async with AsyncExitStack() as opened:
        for _ in range(2):
            await opened.enter_async_context(gateway.ws_connect("/v1/live", headers=greedy))
        last = await opened.enter_async_context(gateway.get(path, headers=greedy))
        assert last.status == 200
        for refused in (path, "/v1/live"):
            answer = await gateway.get(refused, headers=greedy)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "30")
            assert (await answer.json())["type"] == "/problems/too-many-live-connections"
        await opened.enter_async_context(gateway.ws_connect("/v1/live", headers=other))
        assert (await gateway.get(path, headers=third)).status == 429
    async with asyncio.timeout(10):
        while (await gateway.get(path, headers=third)).status != 200:
            await asyncio.sleep(0.05)
