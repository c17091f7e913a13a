"""A database of its own for each test, the rail's process, and payments between them."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from common.testing import Database, fresh_database

from services.payments.tests.railhouse import RailProcess, free_port
from services.payments.tests.world import World, world


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with fresh_database("payments") as copy:
        yield copy


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection that may look at everything."""
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def rail_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RailProcess]:
    process = RailProcess(tmp_path_factory.mktemp("rail") / "rail.jsonl", free_port())
    process.start()
    yield process
    process.kill()


@pytest.fixture
async def rail(rail_of_the_session: RailProcess) -> RailProcess:
    """The rail, alive and well behaved again whatever the test before did to it."""
    rail_of_the_session.start()
    await rail_of_the_session.put("/behaviour", {})
    return rail_of_the_session


@pytest.fixture
async def here(database: Database, rail: RailProcess) -> AsyncIterator[World]:
    async with world(database, rail) as made:
        yield made
