"""A throw-away ledger database for each test that asks for one, and a bank on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from common.testing import Database, fresh_database

from services.ledger.tests.commands import operator
from services.ledger.tests.door import Door, open_door
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


@pytest.fixture
async def database(with_a_tester: Database) -> AsyncIterator[Database]:
    async with fresh_database("ledger", like=with_a_tester) as made:
        yield made


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
