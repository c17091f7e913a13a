"""Betting on a database of its own, with a small ledger beside it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from common.kept_database import KeptDatabase, keeping
from common.testing import Database

from services.betting.tests.fake_ledger import FakeIdentity, FakeLedger, neighbours
from services.betting.tests.served import served
from services.betting.tests.venue import Venue, open_venue


@pytest.fixture(scope="session")
def kept_database() -> Iterator[KeptDatabase]:
    with keeping("betting") as kept:
        yield kept


@pytest.fixture
async def database(kept_database: KeptDatabase) -> Database:
    return await kept_database.as_new()


@pytest.fixture
async def around() -> AsyncIterator[tuple[FakeLedger, FakeIdentity]]:
    async with neighbours() as both:
        yield both


@pytest.fixture
def ledger(around: tuple[FakeLedger, FakeIdentity]) -> FakeLedger:
    return around[0]


@pytest.fixture
def identity(around: tuple[FakeLedger, FakeIdentity]) -> FakeIdentity:
    return around[1]


@pytest.fixture
async def venue(database: Database, ledger: FakeLedger) -> AsyncIterator[Venue]:
    async with open_venue(database, ledger) as open_:
        yield open_


@pytest.fixture
async def client(
    database: Database, ledger: FakeLedger, identity: FakeIdentity
) -> AsyncIterator[TestClient[Any, Any]]:
    async with served(database, ledger, identity) as client:
        yield client
