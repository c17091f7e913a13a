"""A ledger's database, as new for each test that asks for it, and a bank on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from common.kept_database import KeptDatabase, keeping
from common.testing import Database, fresh_database

from services.ledger.tests.commands import operator
from services.ledger.tests.door import Door, open_door
from services.ledger.tests.sealed import SealedBank, twelve_entries
from services.ledger.tests.shop import Desk, open_desk
from services.ledger.tests.vocabulary import PRINCIPAL, Bank, connected, open_bank

__all__ = ["operator"]


@pytest.fixture(scope="session")
def with_a_tester() -> Iterator[Database]:
    """A database in which somebody may post everything, to be copied for each test."""
    with asyncio.Runner() as runner:
        making = fresh_database("ledger")
        made = runner.run(making.__aenter__())
        runner.run(_permit_everything(made))
        yield made
        runner.run(making.__aexit__(None, None, None))


async def _permit_everything(made: Database) -> None:
    async with connected(made, "superuser") as connection:
        await connection.execute(
            "INSERT INTO principal (ledger_id, name, kinds) SELECT 1, $1, array_agg(name) FROM kind",
            PRINCIPAL,
        )


@pytest.fixture(scope="session")
def kept_database(with_a_tester: Database) -> Iterator[KeptDatabase]:
    with keeping("ledger", like=with_a_tester) as kept:
        yield kept


@pytest.fixture
async def database(kept_database: KeptDatabase) -> Database:
    return await kept_database.as_new()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twelve(
    with_a_tester: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SealedBank]:
    """Twelve entries under three seals in a database of their own, for the tests of a module that change nothing."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(fresh_database("ledger", like=with_a_tester))
        folder = tmp_path_factory.mktemp("twelve")
        yield await stack.enter_async_context(twelve_entries(await open_bank(made, stack), folder))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door_of_twelve(twelve: SealedBank) -> AsyncIterator[Door]:
    async with open_door(twelve.bank.database, twelve.folder) as opened:
        yield opened


@pytest.fixture
async def bank(database: Database) -> AsyncIterator[Bank]:
    async with AsyncExitStack() as stack:
        yield await open_bank(database, stack)


@pytest.fixture
async def door(database: Database, tmp_path: Path) -> AsyncIterator[Door]:
    async with open_door(database, tmp_path) as opened:
        yield opened


@pytest.fixture
async def desk(database: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database, tmp_path) as opened:
        yield opened


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Bank]:
    """A second engine, whose postings the first one does not see."""
    async with AsyncExitStack() as stack:
        yield await open_bank(database, stack)
