"""The real application over HTTP, on a database of its own and the stack's Redis."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from common.testing import Database, fresh_database, stack
from identity.app import identity_app
from identity.settings import Settings
from identity.tokens import create_signing_key

from services.identity.tests.people import Client, Owner

MakeClient = Callable[..., AbstractAsyncContextManager[Client]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kept_database() -> AsyncIterator[Database]:
    async with fresh_database("identity") as copy:
        yield copy


@pytest.fixture
async def database(kept_database: Database) -> Database:
    """Emptied for every test: that is quicker than a new one."""
    connection = await asyncpg.connect(kept_database.superuser_dsn)
    await connection.execute("DELETE FROM users; DELETE FROM idempotency; DELETE FROM outbox")
    await connection.close()
    return kept_database


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Owner]:
    """A connection that may look at everything."""
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    key = tmp_path / "signing.pem"
    create_signing_key(key)
    return Settings.model_validate(
        {
            "port": 1,
            "database_dsn": database.dsn("identity_app"),
            "redis_url": stack().redis_url,
            "signing_key_file": key,
            "signing_key_id": "test-key",
        }
    )


@pytest.fixture
def make_client(settings: Settings) -> MakeClient:
    """Starts the application with some settings changed."""

    @asynccontextmanager
    async def make(**changes: object) -> AsyncIterator[Client]:
        changed = Settings.model_validate(settings.model_dump() | changes)
        async with TestClient(TestServer(identity_app(changed))) as client:
            yield client

    return make


@pytest.fixture
async def client(make_client: MakeClient) -> AsyncIterator[Client]:
    async with make_client() as client:
        yield client
