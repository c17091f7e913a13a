"""A throw-away outbox, somebody who writes to it, and a queue at the other end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import asyncpg
from common.testing import fresh_database

from tools.proxy import Proxy

ANNOUNCE = """
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body, headers)
    SELECT (hashtextextended($2, 0) & 15)::smallint, id, $1, $4, $2, version,
           jsonb_build_object('id', id, 'aggregate', $2::text, 'version', version), '{"traceparent": "00-aa-bb-01"}'
    FROM unnest($3::bigint[]) AS version, LATERAL (SELECT gen_random_uuid() AS id WHERE version IS NOT NULL) AS made
    ORDER BY version
"""


async def eventually(condition: Callable[[], Awaitable[bool]], within_seconds: float = 10.0) -> None:
    """Wait until something that happens elsewhere has happened. Raises `TimeoutError`."""
    async with asyncio.timeout(within_seconds):
        while not await condition():
            await asyncio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Outbox:
    """A service's outbox; `dsn` is its relay's login."""

    dsn: str
    writer: asyncpg.Pool[asyncpg.Record]
    superuser_dsn: str
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

    @asynccontextmanager
    async def undeletable(self) -> AsyncIterator[None]:
        """Whoever deletes a row (or writes one) waits until the block ends. So a relay is caught between
        confirmation and deletion: `deleting` tells when it is there."""
        blocker = await asyncpg.connect(self.superuser_dsn)
        try:
            async with blocker.transaction():
                await blocker.execute("LOCK TABLE outbox IN SHARE MODE")
                yield
        finally:
            await blocker.close()

    async def deleting(self) -> None:
        """Wait until somebody waits to delete."""

        async def somebody_waits() -> bool:
            found: bool = await self.writer.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity AS who USING (pid)"
                " WHERE relation = 'outbox'::regclass AND NOT granted AND who.usename LIKE '%\\_relay'"
                " AND who.datname = current_database())"
            )
            return found

        await eventually(somebody_waits)

    async def emptied(self, *, within_seconds: float = 30.0) -> None:
        async def empty() -> bool:
            return await self.rows() == 0

        await eventually(empty, within_seconds)


@asynccontextmanager
async def throw_away_outbox() -> AsyncIterator[Outbox]:
    """A copy of a service's database, as its migrations make it, and the login of its relay.

    Identity's, for no reason: the outbox is the same in all (`tests/test_outboxes.py`).
    """
    async with (
        fresh_database("identity") as database,
        asyncpg.create_pool(database.superuser_dsn, min_size=1, max_size=4) as writer,
    ):
        yield Outbox(database.dsn("identity_relay"), writer, database.superuser_dsn, f"test.{database.name}")


class Listener:
    """Remembers everything that arrives, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []
        self.headers: list[Mapping[str, object]] = []

    def note(self, body: bytes, headers: Mapping[str, object]) -> None:
        read = json.loads(body)
        self.heard.append((read["aggregate"], read["version"]))
        self.headers.append(headers)

    @property
    def twice(self) -> int:
        """Messages that were heard before."""
        return len(self.heard) - len(set(self.heard))

    async def heard_all(self, wanted: int, *, within_seconds: float = 30.0) -> None:
        """Wait until that many different messages have arrived."""

        async def all_are_here() -> bool:
            return len(set(self.heard)) >= wanted

        await eventually(all_are_here, within_seconds)

    def assert_in_order(self) -> None:
        """Counting each message at its first arrival, no aggregate's versions change places or are missing."""
        latest: dict[str, int] = {}
        for aggregate, version in dict.fromkeys(self.heard):
            assert version == latest.get(aggregate, 0) + 1, (
                f"{aggregate}: {version} after {latest.get(aggregate)}"
            )
            latest[aggregate] = version


class RelayProcess:
    """`python -m relay` as an operator runs it."""

    def __init__(self, outbox: Outbox, port: int, broker: Mapping[str, str]) -> None:
        self._environment = {
            **os.environ,
            "SERVICE": "relay-test",
            "PORT": str(port),
            "DATABASE_DSN": outbox.dsn,
            "DRAIN_SECONDS": "0",
            **broker,
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
