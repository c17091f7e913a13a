"""No service reaches another's database, and no runtime role owns anything or may define anything."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from common.testing import Stack

DATABASES = ("ledger", "betting", "identity", "payments")


async def test_connect_to_another_services_database_is_refused(running: Stack) -> None:
    tried = 0
    for role, dsn in running.dsn.items():
        for database in (*DATABASES, "postgres"):
            if role.startswith(f"{database}_"):
                continue
            tried += 1
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await asyncpg.connect(urlunsplit(urlsplit(dsn)._replace(path=f"/{database}")))
    assert tried == len(running.dsn) * len(DATABASES)


async def test_runtime_roles_own_nothing_and_define_nothing(running: Stack) -> None:
    for role, dsn in running.dsn.items():
        if role.endswith("_migrator"):
            continue
        connection = await asyncpg.connect(dsn)
        try:
            assert not await connection.fetch(
                "SELECT relname FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
            )
            assert not await connection.fetch(
                "SELECT FROM pg_auth_members WHERE member = (SELECT oid FROM pg_roles WHERE rolname = current_user)"
            )
            for statement in ("CREATE TABLE mine (x int)", "CREATE SCHEMA mine", "CREATE ROLE mine"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        finally:
            await connection.close()
