"""An empty database for each test, the rail's process, and payments between them."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from common.kept_database import KeptDatabase, keeping
from common.testing import Database

from services.payments.tests.railhouse import PspProcess, RailProcess, free_port
from services.payments.tests.world import World, world


@pytest.fixture(scope="session")
def kept_database() -> Iterator[KeptDatabase]:
    with keeping("payments") as kept:
        yield kept


@pytest.fixture
async def database(kept_database: KeptDatabase) -> Database:
    return await kept_database.as_new()


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
    """The rail, alive, empty and well behaved again whatever the test before did to it."""
    rail_of_the_session.start()
    await rail_of_the_session.post("/forget", {})
    await rail_of_the_session.put("/behaviour", {})
    return rail_of_the_session


@pytest.fixture(scope="session")
def psp_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PspProcess]:
    process = PspProcess(tmp_path_factory.mktemp("psp") / "psp.jsonl", free_port())
    process.server.start()
    yield process
    process.server.kill()


@pytest.fixture
async def psp(psp_of_the_session: PspProcess) -> PspProcess:
    """The card provider, alive and honest again whatever the test before did to it."""
    psp_of_the_session.server.start()
    await psp_of_the_session.ask("POST", "/control/forget")
    await psp_of_the_session.faults()
    return psp_of_the_session


@pytest.fixture
async def here(database: Database, rail: RailProcess, psp: PspProcess) -> AsyncIterator[World]:
    async with world(database, rail, psp) as made:
        yield made
