"""An empty database for each test, the rail's process, and payments between them."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from common.testing import Database, fresh_database

from services.payments.tests.railhouse import PspProcess, RailProcess, free_port
from services.payments.tests.world import World, world

EMPTY = """
    SET session_replication_role = replica;
    DELETE FROM payout_clabe; DELETE FROM withdrawal; DELETE FROM attestation; DELETE FROM deposit;
    DELETE FROM review_case; DELETE FROM arrival; DELETE FROM proof_word; DELETE FROM proof; DELETE FROM payout_line;
    DELETE FROM payout_file; DELETE FROM webhook; DELETE FROM card_operation; DELETE FROM card_payment; DELETE FROM deadline;
    DELETE FROM holder; DELETE FROM player_clabe; DELETE FROM history;
    DELETE FROM outbox; DELETE FROM inbox; DELETE FROM idempotency;
"""


@pytest.fixture(scope="session")
def database_of_the_session() -> Iterator[Database]:
    """One copy for all tests of a run: making one takes longer than most of them."""
    with asyncio.Runner() as runner:
        making = fresh_database("payments")
        yield runner.run(making.__aenter__())
        runner.run(making.__aexit__(None, None, None))


@pytest.fixture
async def database(database_of_the_session: Database) -> Database:
    """The copy, emptied. Only a superuser in replica mode gets past the append-only triggers."""
    connection = await asyncpg.connect(database_of_the_session.superuser_dsn)
    await connection.execute(EMPTY)
    await connection.close()
    return database_of_the_session


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
