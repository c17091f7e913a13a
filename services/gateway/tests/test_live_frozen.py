"""Live updates while betting is frozen: a real process that is stopped, a real broker, the real gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

import aiohttp
from common.amqp import Link, Message, Publisher
from common.testing import stack
from contracts import betting
from contracts.envelope import envelope
from contracts.topology import EVENTS
from contracts.wire import Event
from gateway.domain import Service

from services.gateway.tests.conftest import Behind, MakeGateway
from services.gateway.tests.people import bettor

ONE, OTHER, RUNNER = uuid4(), uuid4(), uuid4()
BETTING = f"""
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Markets(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        view = {{"id": self.path.rpartition("/")[2], "status": "OPEN", "version": 1, "sequence": 10,
                "book": [{{"runner_id": "{RUNNER}", "levels": [{{"risk": 5, "win": 4, "amount": "100.00"}}]}}]}}
        body = json.dumps(view).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Markets).serve_forever()
"""


@asynccontextmanager
async def markets() -> AsyncIterator[tuple[int, str]]:
    """A process that answers for betting: its id, and where it listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BETTING, str(port))
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        yield process.pid, f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        await process.wait()


async def tell(publisher: Publisher, market: UUID, sequence: int, event: Event) -> None:
    """As betting's relay tells it."""
    subject = f"markets/{market}"
    told = envelope(
        event,
        id=uuid4(),
        subject=subject,
        version=sequence,
        time=datetime.now(UTC),
        partition_key=subject,
    )
    await publisher.publish(Message(told.id, EVENTS, told.type, told.model_dump_json().encode()))


def level(amount: str) -> betting.BookChanged:
    ratio = betting.Ratio(risk=5, win=4)
    levels = (betting.BookLevel(runner_id=RUNNER, ratio=ratio, amount=amount),)
    return betting.BookChanged(market_id=ONE, market_version=1, levels=levels, changed_at=datetime.now(UTC))


async def subscribed(socket_: aiohttp.ClientWebSocketResponse, market: UUID) -> None:
    await socket_.send_json({"op": "sub", "ch": [f"market:{market}"], "hb": 60})
    assert (await socket_.receive_json(timeout=10))["op"] == "img"


async def test_a_frozen_betting_holds_up_no_delta_of_another_market(
    make_gateway: MakeGateway, behind: Behind
) -> None:
    """One market stops, and betting does not say how it stands: the other's book goes on at once, in order; and who
    subscribes just now waits without others waiting for them."""
    async with AsyncExitStack() as held:
        pid, url = await held.enter_async_context(markets())
        behind.urls[Service.BETTING] = url
        gateway = await held.enter_async_context(make_gateway())
        link = Link(stack().rabbitmq.url("relay-betting"), name="test")
        held.push_async_callback(link.close)
        publisher = Publisher(link)
        held.push_async_callback(publisher.close)
        session, another = await bettor(gateway, 0), await bettor(gateway, 1)
        first = await held.enter_async_context(gateway.ws_connect("/v1/live", headers=session))
        second = await held.enter_async_context(gateway.ws_connect("/v1/live", headers=another))
        late = await held.enter_async_context(gateway.ws_connect("/v1/live", headers=another))
        await subscribed(first, ONE)
        await subscribed(second, OTHER)
        os.kill(pid, signal.SIGSTOP)
        now = datetime.now(UTC)
        await tell(
            publisher,
            OTHER,
            11,
            betting.MarketSuspended(market_id=OTHER, reason="protest", suspended_at=now),
        )
        await late.send_json({"op": "sub", "ch": [f"market:{uuid4()}"]})
        clocks = [10]
        for sequence in range(11, 16):
            await tell(publisher, ONE, sequence, level(f"{sequence}.00"))
            delta = await first.receive_json(timeout=1.5)
            assert (delta["op"], delta["prev"], delta["clk"]) == ("delta", clocks[-1], sequence)
            clocks.append(sequence)
        os.kill(pid, signal.SIGCONT)
        assert (await late.receive_json(timeout=10))["op"] == "img"
        status = await second.receive_json(timeout=15)
        assert status["op"] == "status"
