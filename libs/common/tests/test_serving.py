"""A service as a process: it serves, and on SIGTERM it stops without losing a request."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tenacity import retry, stop_after_delay, wait_fixed

PROGRAM = """
from libs.common.tests.shop import settings, shop
from common.http import run
changes = {{"port": {port}, "drain_seconds": 0.4, "shutdown_seconds": 2, "trace_ratio": 1.0, **{collector}}}
run(shop(**changes), settings(**changes))
"""


@dataclass
class Running:
    """The service's process."""

    process: Process
    url: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    async with started(tmp_path) as running:
        yield running


@asynccontextmanager
async def started(tmp_path: Path, **collector: str) -> AsyncIterator[Running]:
    """The service's process, as soon as it serves."""
    program = PROGRAM.format(port=(port := free_port()), collector=collector)
    log = tmp_path / "log"
    with log.open("wb") as output:  # not a pipe: nobody would read it, and a full one stops the writer
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=output)
    await first_line(log)
    yield Running(process, f"http://127.0.0.1:{port}")
    if process.returncode is None:
        process.kill()
    await process.wait()


@retry(stop=stop_after_delay(20), wait=wait_fixed(0.05), reraise=True)
async def first_line(log: Path) -> None:
    """Wait until the process says that it serves."""
    assert '"serving"' in await asyncio.to_thread(log.read_text)


async def stopped(service: Running) -> int:
    async with asyncio.timeout(10):
        return await service.process.wait()


async def test_readiness_fails_first_and_requests_in_flight_finish(service: Running) -> None:
    async with aiohttp.ClientSession() as session:
        slow = asyncio.create_task(session.get(f"{service.url}/v1/waits/1.0"))
        await asyncio.sleep(0.2)
        service.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        async with session.get(f"{service.url}/readyz") as ready:
            assert ready.status == 503
        async with session.get(f"{service.url}/v1/orders") as served:
            assert served.status == 200
        assert (await slow).status == 204
    assert await stopped(service) == 0


async def test_under_load_no_request_fails(service: Running) -> None:
    statuses: list[int] = []
    turned_away = 0

    async def customer() -> None:
        """Asks on and on until the port is closed, on kept-alive connections."""
        nonlocal turned_away
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{service.url}/v1/waits/0.01") as response:
                        statuses.append(response.status)
                except aiohttp.ClientConnectorError:
                    turned_away += 1
                    return

    customers = [asyncio.create_task(customer()) for _ in range(16)]
    await asyncio.sleep(0.3)
    service.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await asyncio.gather(*customers)
    assert await stopped(service) == 0
    assert set(statuses) == {204}
    assert len(statuses) > 100
    assert turned_away == 16


async def test_a_request_without_end_does_not_hold_the_stop_up(service: Running) -> None:
    async with aiohttp.ClientSession() as session:
        endless = asyncio.create_task(session.get(f"{service.url}/v1/waits/3600"))
        await asyncio.sleep(0.2)
        service.process.send_signal(signal.SIGTERM)
        started = monotonic()
        assert await stopped(service) == 0
        assert monotonic() - started < 0.4 + 2 + 1
        with pytest.raises(aiohttp.ClientError):
            await endless


async def test_spans_reach_the_collector_the_last_ones_included(tmp_path: Path) -> None:
    sent: list[tuple[str, bytes]] = []

    async def collect(request: web.Request) -> web.Response:
        sent.append((request.path, await request.read()))
        return web.Response()

    collector = web.Application()
    collector.router.add_post("/{any:.*}", collect)
    async with TestServer(collector) as server, aiohttp.ClientSession() as session:
        endpoint = str(server.make_url("/"))
        async with started(tmp_path, otel_exporter_otlp_endpoint=endpoint) as service:
            await session.get(f"{service.url}/v1/orders")
            service.process.send_signal(signal.SIGTERM)
            assert await stopped(service) == 0
    assert {path for path, _ in sent} == {"/v1/traces"}
    assert any(b"GET /v1/orders" in body for _, body in sent)


async def test_a_collector_that_is_not_there_does_not_hold_the_stop_up(tmp_path: Path) -> None:
    async with started(tmp_path, otel_exporter_otlp_endpoint="http://127.0.0.1:1") as service:
        async with aiohttp.ClientSession() as session:
            assert (await session.get(f"{service.url}/v1/orders")).status == 200
        service.process.send_signal(signal.SIGTERM)
        assert await stopped(service) == 0
