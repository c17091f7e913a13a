"""Redis as we connect to it: one attempt, an end to every wait, and a new connection for one that died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from common.redis import TROUBLE, answers, connect
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
