"""The link that goes wrong: each way of going wrong, as both ends feel it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tools.proxy import Proxy
from tools.stack.layout import ROOT


@dataclass(slots=True)
class Echo:
    """A server that says back what it hears, and remembers its connections."""

    port: int = 0
    heard: bytes = b""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(1024):
                self.heard += chunk
                writer.write(chunk)
        self.ended.set()
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with Proxy("127.0.0.1", echo.port).listening() as listening:
        yield listening


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield reader, writer
    writer.close()


async def said_back(client: Ends, word: bytes, within_seconds: float = 5.0) -> bytes:
    reader, writer = client
    writer.write(word)
    async with asyncio.timeout(within_seconds):
        return await reader.readexactly(len(word))


async def test_it_passes_bytes_both_ways(client: Ends) -> None:
    for size in (1, 1_000, 300_000):
        assert await said_back(client, b"x" * size) == b"x" * size


async def test_a_stalled_link_is_silent_and_loses_nothing(proxy: Proxy, client: Ends) -> None:
    proxy.stall()
    with pytest.raises(TimeoutError):
        await said_back(client, b"ab", within_seconds=0.2)
    proxy.flow()
    async with asyncio.timeout(5):
        assert await client[0].readexactly(2) == b"ab"


async def test_a_slow_link_delays_each_byte_and_not_each_after_the_other(proxy: Proxy, client: Ends) -> None:
    proxy.delay(0.2)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(10):
        client[1].write(b"%d" % number)
        await asyncio.sleep(0.02)
    async with asyncio.timeout(5):
        assert await client[0].readexactly(10) == b"0123456789"
    assert loop.time() - began >= 0.4, "it is not slow at all"


async def test_a_reset_is_felt_on_both_sides(proxy: Proxy, client: Ends, echo: Echo) -> None:
    await said_back(client, b"a")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(5):
            await client[0].read(1)
    async with asyncio.timeout(5):
        await echo.ended.wait()
        while proxy.connections:
            await asyncio.sleep(0.01)


async def test_what_was_under_way_at_a_reset_does_not_arrive(proxy: Proxy, client: Ends, echo: Echo) -> None:
    proxy.stall()
    client[1].write(b"lost")
    await asyncio.sleep(0.1)
    proxy.reset()
    proxy.flow()
    async with asyncio.timeout(5):
        await echo.ended.wait()
    assert echo.heard == b""


async def test_a_half_open_link_ends_for_the_server_alone(proxy: Proxy, client: Ends, echo: Echo) -> None:
    await said_back(client, b"a")
    proxy.half_open()
    async with asyncio.timeout(5):
        await echo.ended.wait()
    with pytest.raises(TimeoutError):
        await said_back(client, b"b", within_seconds=0.2)
    fresh = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await said_back(fresh, b"c") == b"c"
    fresh[1].close()


async def test_an_end_is_passed_on(proxy: Proxy, client: Ends, echo: Echo) -> None:
    await said_back(client, b"a")
    client[1].close()
    async with asyncio.timeout(5):
        await echo.ended.wait()
        while proxy.connections:
            await asyncio.sleep(0.01)


async def test_as_a_process_it_takes_orders(echo: Echo) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.proxy", "--to", f"127.0.0.1:{echo.port}", cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(20):
        port = int((await process.stdout.readline()).rpartition(b":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await said_back((reader, writer), b"a") == b"a"
        process.stdin.write(b"reset\n")
        assert await process.stdout.readline() == b"reset: 1 connections\n"
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        process.stdin.close()
        assert await process.wait() == 0
