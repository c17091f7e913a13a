"""Programs that are not ours, run and listened to: wrk, pgbench, psql."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from common.testing import stack


async def run(*command: str) -> str:
    """What the program prints. Raises RuntimeError with the end of it when the program fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]}: {told.decode()[-2000:]}")
    return told.decode()


@asynccontextmanager
async def empty_database() -> AsyncIterator[str]:
    """The DSN of a database with nothing in it on the running stack's PostgreSQL, dropped afterwards."""
    superuser = stack().postgres.superuser_dsn
    name = f"bench_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(superuser)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(superuser)._replace(path=f"/{name}"))
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()
