"""A database of one's own, with the tables that every service's migrations make."""

from collections.abc import AsyncIterator
from importlib.resources import files
from uuid import uuid4

import asyncpg
import pytest
from common.idempotency import RULES
from common.pg import Pool, create_pool
from common.testing import in_database, stack

TABLES = (
    (files("common") / "messages.sql").read_text(encoding="utf-8")
    + """
    CREATE TABLE idempotency (
        principal text NOT NULL, key text NOT NULL, fingerprint bytea NOT NULL, status int, body json,
        resource text, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (principal, key));
    CREATE TABLE effect (id int CONSTRAINT effect_happens_once PRIMARY KEY, what text);
"""
    + RULES
)


@pytest.fixture
async def dsn() -> AsyncIterator[str]:
    """An empty database with those tables; dropped afterwards."""
    superuser_dsn = stack().postgres.superuser_dsn
    name = f"common_test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(superuser_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    made = in_database(superuser_dsn, name)
    connection = await asyncpg.connect(made)
    await connection.execute(TABLES)
    await connection.close()
    yield made
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool on that database."""
    made = await create_pool(dsn, min_size=1, max_size=8, application_name="tests")
    yield made
    await made.close()
