"""A ledger by itself: its own database and as many processes as wanted, on the running stack's servers.

For measuring the ledger and nothing else: no relay, no consumers, no other service on the two cores. The outbox
rows are written like always and stay. `latency.py` and the race day measure the whole platform instead.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from common.testing import Database, fresh_database, stack

from loadtests.steady import steady
from tools.stack.process import give_way
from tools.stack.services import GIVES_WAY

START_SECONDS = 20.0
AS_A_SERVICE = ("setpriv", "--pdeathsig", "TERM", sys.executable, "-m")
"""With a session of its own, as in `tools.stack`: the machine shares its processors out among sessions first."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The processes' addresses, in order, and their database."""

    urls: tuple[str, ...]
    pids: tuple[int, ...]
    database: Database


@asynccontextmanager
async def ledger_alone(
    engines: int = 1,
    *,
    prepare: Callable[[Database], Awaitable[None]] | None = None,
    settings: Mapping[str, str] | None = None,
    log: Path | None = None,
    program: str = "ledger",
) -> AsyncIterator[Alone]:
    """That many ledger processes on a fresh database, which `prepare` may change first; ended on exit.
    `settings` are further settings, as environment variables; `program` is the module that serves.

    Raises:
        TimeoutError: a process was not ready within `START_SECONDS`.
    """
    async with fresh_database("ledger") as database, AsyncExitStack() as ends:
        if prepare is not None:
            await prepare(database)
        urls, pids = [], []
        for _ in range(engines):
            port = free_port()
            process = await _start(program, database, port, log, settings or {})
            ends.push_async_callback(_end, process)
            urls.append(f"http://127.0.0.1:{port}")
            pids.append(process.pid)
        for url in urls:
            await _ready(url)
        yield Alone(tuple(urls), tuple(pids), database)


@asynccontextmanager
async def sealer(database: Database) -> AsyncIterator[None]:
    """The sealing process, for as long as this lasts; it gives way as it does in `tools.stack`."""
    environment = os.environ | {
        "DATABASE_DSN": database.dsn("ledger_sealer"),
        "SEAL_KEYS": str(stack().secrets_dir / "ledger-seal-keys.json"),
        "PORT": str(free_port()),
    }
    process = await asyncio.create_subprocess_exec(
        *AS_A_SERVICE,
        "ledger",
        "seal",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    give_way(process.pid, GIVES_WAY)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def api_key(database: Database, principal: str, *kinds: str, ledger: str | None = None) -> str:
    """A fresh API key for `principal`, through the ledger's own key command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "keys", "create", "--name", principal, "--kinds", ",".join(kinds),
        *(("--ledger", ledger) if ledger else ()),
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"DATABASE_DSN": database.dsn("ledger_keys")},
    )  # fmt: skip
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("the ledger made no key")
    return told.decode().strip()


async def settled(database: Database) -> None:
    """See `steady`."""
    await steady(database.superuser_dsn, (database.name,))


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _start(
    program: str, database: Database, port: int, log: Path | None, settings: Mapping[str, str]
) -> asyncio.subprocess.Process:
    running = stack()
    environment = os.environ | {
        "PORT": str(port),
        "DATABASE_DSN": database.dsn("ledger_posting"),
        "AMQP_URL": running.rabbitmq.url("ledger"),
        "REDIS_URL": running.redis_url,
        "IDENTITY_URL": "http://127.0.0.1:1",  # nobody logs in here: keys only
        **settings,
    }
    told = (log or Path(os.devnull)).open("a")
    try:
        return await asyncio.create_subprocess_exec(
            *AS_A_SERVICE, program, "serve", env=environment, stdout=told, stderr=told, start_new_session=True
        )
    finally:
        told.close()


async def _ready(url: str) -> None:
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
