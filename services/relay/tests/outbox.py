"""A throw-away outbox, somebody who writes to it, and a queue at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import aiohttp
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, HeadersType
from common.testing import stack

from libs.common.tests.amqp.proxy import Proxy

TABLES = """
    CREATE TABLE outbox_shard (shard smallint PRIMARY KEY, claim smallint NOT NULL DEFAULT 0);
    INSERT INTO outbox_shard (shard) SELECT generate_series(0, 15);
    CREATE TABLE outbox (
        shard smallint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, event_id uuid NOT NULL,
        exchange text NOT NULL, routing_key text NOT NULL, aggregate text NOT NULL, version bigint NOT NULL,
        body jsonb NOT NULL, headers jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (shard, id))
        WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
"""

ANNOUNCE = """
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body, headers)
    SELECT (hashtextextended($2, 0) & 15)::smallint, gen_random_uuid(), $1, $4, $2, version,
           jsonb_build_object('aggregate', $2::text, 'version', version), '{"traceparent": "00-aa-bb-01"}'
    FROM unnest($3::bigint[]) AS version ORDER BY version
"""


async def eventually(condition: Callable[[], Awaitable[bool]], within_seconds: float = 10.0) -> None:
    """Wait until something that happens elsewhere has happened. Raises `TimeoutError`."""
    async with asyncio.timeout(within_seconds):
        while not await condition():
            await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Outbox:
    """A database that has nothing but an outbox; `dsn` is the relay's, with a relay's privileges."""

    dsn: str
    writer: asyncpg.Connection[asyncpg.Record]
    exchange: str

    async def announce(self, aggregate: str, versions: Sequence[int], *, key: str = "heard") -> None:
        """Write these versions of one aggregate, in one transaction."""
        await self.writer.execute(ANNOUNCE, self.exchange, aggregate, list(versions), key)

    async def rows(self) -> int:
        left: int = await self.writer.fetchval("SELECT count(*) FROM outbox")
        return left

    async def free_shards(self) -> int:
        """How many of the 16 shards nobody holds."""
        free: int = await self.writer.fetchval(
            "SELECT count(*) FROM (SELECT FROM outbox_shard FOR UPDATE SKIP LOCKED) AS free"
        )
        return free

    async def emptied(self, *, within_seconds: float = 30.0) -> None:
        async def empty() -> bool:
            return await self.rows() == 0

        await eventually(empty, within_seconds)


@asynccontextmanager
async def throw_away_outbox() -> AsyncIterator[Outbox]:
    """A database and a login role with exactly what every service grants its relay."""
    running = stack()
    name = f"relay_test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(running.postgres.superuser_dsn)
    try:
        await admin.execute(f'CREATE DATABASE "{name}"')
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        address = f"{running.postgres.host}:{running.postgres.port}/{name}"
        writer = await asyncpg.connect(running.postgres.superuser_dsn, database=name)
        await writer.execute(TABLES)
        await writer.execute(f"GRANT SELECT, DELETE ON outbox TO {name}")
        await writer.execute(f"GRANT SELECT, UPDATE (claim) ON outbox_shard TO {name}")
        yield Outbox(f"postgresql://{name}:{name}@{address}", writer, f"test.{name}")
        await writer.close()
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f"DROP ROLE IF EXISTS {name}")
        await admin.close()


class Listener:
    """Reads everything that arrives at a queue of its own, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.headers: list[HeadersType] = []

    @asynccontextmanager
    async def listening(self, channel: AbstractChannel, exchange: str) -> AsyncIterator[Listener]:
        """Hear what is published there under the key `heard`; any other key has no queue."""
        queue = await channel.declare_queue(
            f"{exchange}.heard", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(exchange, "heard")
        await channel.set_qos(prefetch_count=500)
        tag = await queue.consume(self._note)
        try:
            yield self
        finally:
            await queue.cancel(tag)
            await queue.delete(if_unused=False, if_empty=False)
            await channel.exchange_delete(exchange)

    async def _note(self, message: AbstractIncomingMessage) -> None:
        body = json.loads(message.body)
        self.heard.append((body["aggregate"], body["version"]))
        self.headers.append(message.headers)
        await message.ack()

    async def heard_all(self, wanted: int, *, within_seconds: float = 30.0) -> None:
        """Wait until that many different messages have arrived."""

        async def all_are_here() -> bool:
            return len(set(self.heard)) >= wanted

        await eventually(all_are_here, within_seconds)

    def assert_in_order(self) -> None:
        """Counting each message at its first arrival, no aggregate's versions change places."""
        latest: dict[str, int] = {}
        for aggregate, version in dict.fromkeys(self.heard):
            assert version == latest.get(aggregate, 0) + 1, (
                f"{aggregate}: {version} after {latest.get(aggregate)}"
            )
            latest[aggregate] = version


class RelayProcess:
    """`python -m relay` as an operator runs it."""

    def __init__(self, outbox: Outbox, amqp_url: str, port: int) -> None:
        self._environment = {
            **os.environ,
            "SERVICE": "relay-test",
            "PORT": str(port),
            "DATABASE_DSN": outbox.dsn,
            "AMQP_URL": amqp_url,
            "DRAIN_SECONDS": "0",
        }
        self.url = f"http://127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None

    async def ready(self, *, within_seconds: float = 20.0) -> None:
        """Wait until it says that it is ready."""
        async with aiohttp.ClientSession() as session:

            async def says_so() -> bool:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/readyz") as answer:
                        return answer.status == 200
                return False

            await eventually(says_so, within_seconds)

    async def start(self, *arguments: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "relay",
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
        )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.ended()

    async def stopped(self) -> None:
        """Kill it if it still runs."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()


class MakeRelay(Protocol):
    """The fixture that makes relay processes."""

    def __call__(self, proxy: Proxy | None = None) -> RelayProcess: ...
