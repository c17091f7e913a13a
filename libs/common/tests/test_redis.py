"""Redis as we connect to it: one attempt, an end to every wait, and a new connection for one that died."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from common.redis import TRIP_AFTER, TROUBLE, answers, connect
from common.testing import stack


@dataclass(slots=True)
class Silent:
    """Accepts and never says a word."""

    port: int = 0
    connections: int = 0
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.leave.wait()
        writer.close()


@dataclass(slots=True)
class Freezing:
    """Stands between a client and the stack's Redis, and passes nothing on while it is frozen."""

    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    commands: int = 0

    async def serve(self, ours: asyncio.StreamReader, answers_to: asyncio.StreamWriter) -> None:
        where = urlsplit(stack().redis_url)
        theirs, writer = await asyncio.open_connection(where.hostname, where.port)
        back = asyncio.create_task(self._back(theirs, answers_to))
        while said := await ours.read(65_536):
            self.commands += b"PING" in said
            await self.thawed.wait()
            writer.write(said)
        writer.close()
        await back

    async def _back(self, theirs: asyncio.StreamReader, answers_to: asyncio.StreamWriter) -> None:
        while said := await theirs.read(65_536):
            answers_to.write(said)
        answers_to.close()


@pytest.fixture
async def silent() -> AsyncIterator[Silent]:
    made = Silent()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    made.leave.set()
    server.close()


async def test_a_silent_server_is_asked_once(silent: Silent) -> None:
    """The driver's own default is ten more attempts behind our back."""
    client = connect(f"redis://127.0.0.1:{silent.port}", timeout_seconds=0.2)
    with pytest.raises(TROUBLE):
        await answers(client)
    await client.aclose()
    assert silent.connections == 1


async def test_a_frozen_redis_is_left_alone_and_asked_again_by_one_command_later() -> None:
    """Three time-outs a request, for every request, were what a frozen Redis cost."""
    between = Freezing()
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    where = urlsplit(stack().redis_url)
    ours = where._replace(netloc=f"{where.netloc.rpartition(':')[0]}:{server.sockets[0].getsockname()[1]}")
    client = connect(ours.geturl(), timeout_seconds=0.2)
    between.thawed.set()
    await answers(client)
    between.thawed.clear()
    for _ in range(TRIP_AFTER):
        with pytest.raises(TROUBLE):
            await client.ping()
    asked = between.commands
    for _ in range(50):
        with pytest.raises(TROUBLE, match="was not asked"):
            await client.ping()
    assert between.commands == asked
    between.thawed.set()
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(*TROUBLE):
                await client.ping()
                break
            await asyncio.sleep(0.05)
    assert all(await asyncio.gather(*(client.ping() for _ in range(8))))
    await client.aclose()
    server.close()


async def test_a_redis_that_takes_no_writes_is_not_ready() -> None:
    """Full, and told never to forget: nobody can log in, and a ping is answered."""
    port = _free_port()
    server = await asyncio.create_subprocess_exec(
        "redis-server", "--port", str(port), "--save", "", "--maxmemory", "1", "--maxmemory-policy", "noeviction",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    client = connect(f"redis://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(*TROUBLE):
                    await client.ping()
                    break
                await asyncio.sleep(0.05)
        with pytest.raises(TROUBLE, match="maxmemory"):
            await answers(client)
    finally:
        await client.aclose()
        server.terminate()
        await server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_nobody_there_is_trouble() -> None:
    client = connect("redis://127.0.0.1:1", timeout_seconds=0.2)
    with pytest.raises(TROUBLE):
        await answers(client)
    await client.aclose()


async def test_waiting_for_a_free_connection_ends(silent: Silent) -> None:
    client = connect(f"redis://127.0.0.1:{silent.port}", max_connections=1, timeout_seconds=0.2)
    async with asyncio.timeout(20):
        told = await asyncio.gather(*(client.ping() for _ in range(3)), return_exceptions=True)
    await client.aclose()
    assert all(isinstance(each, TROUBLE) for each in told)


async def test_connections_that_died_while_nobody_used_them_cost_nobody_an_answer() -> None:
    """As when Redis is started again: on the stack's own, which ends them."""
    name = f"test-{uuid4().hex}"
    redis, killer = connect(f"{stack().redis_url}?client_name={name}"), connect(stack().redis_url)
    await asyncio.gather(*(redis.ping() for _ in range(8)))
    ours = [each["id"] for each in await killer.client_list() if each["name"] == name]
    assert len(ours) > 1
    for id in ours:
        await killer.client_kill_filter(_id=id)
    assert all(await asyncio.gather(*(redis.ping() for _ in ours)))
    await killer.aclose()
    await redis.aclose()
