"""PostgreSQL as it is after its first hours, so that a short measurement says what a long one would."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

import asyncpg

WAL_FILES = 60
"""Of 16 MiB, somewhat less than the stack's `min_wal_size` keeps: more than any script here writes between two checkpoints."""


async def steady(superuser_dsn: str, databases: Iterable[str]) -> None:
    """Analyze these databases, as autovacuum does within a minute, and make the server's WAL files, as its first checkpoints do.

    While a fresh journal has no statistics, an entry is looked up in the index by effect, and every batch costs more than
    the last. While WAL files are not recycled, whoever commits makes a new one each 16 MiB: 30 to 60 ms in which nobody else
    commits (docs/adr/0081-wal-files-are-kept.md).
    """
    server = urlsplit(superuser_dsn)
    for database in databases:
        connection = await asyncpg.connect(urlunsplit(server._replace(path=f"/{database}")))
        try:
            await connection.execute("ANALYZE")
        finally:
            await connection.close()
    await _make_wal_files(superuser_dsn)


async def _make_wal_files(superuser_dsn: str) -> None:
    connection = await asyncpg.connect(superuser_dsn)
    try:
        while await connection.fetchval("SELECT count(*) FROM pg_ls_waldir()") < WAL_FILES:
            await connection.execute("SELECT txid_current()")  # a file with nothing in it is not switched
            await connection.execute("SELECT pg_switch_wal()")
        await connection.execute("CHECKPOINT")  # recycles those that are done
    finally:
        await connection.close()
