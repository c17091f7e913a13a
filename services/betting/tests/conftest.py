"""Betting on a database of its own, with a small ledger beside it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from betting.app import betting_app, settler_app
from betting.settings import Settings, SettlerSettings
from common.kept_database import KeptDatabase
from common.signing import SigningKey
from common.testing import Database, stack

from services.betting.tests.fake_ledger import API_KEY, FakeIdentity, FakeLedger, neighbours
from services.betting.tests.venue import Venue, open_venue


@pytest.fixture(scope="session")
def kept() -> Iterator[KeptDatabase]:
    made = KeptDatabase("betting")
    yield made
    asyncio.run(made.drop())


@pytest.fixture
async def database(kept: KeptDatabase) -> Database:
    return await kept.as_new()


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
    """The real application over HTTP, and the settler beside it."""
    common = {
        "port": 1,
        "database_dsn": database.dsn("betting_app"),
        "ledger_url": ledger.url,
        "ledger_api_key": API_KEY,
        "ledger_signing_key": SigningKey("test", bytes(32)).written(),
        "ledger_timeout_seconds": 0.5,
    }
    serving = {
        "identity_url": identity.url,
        "patience_seconds": 0.2,
        "sweep_seconds": 0.1,
        "deadline_seconds": 0.1,
    }
    settling = {"amqp_url": stack().rabbitmq.url("betting"), "settle_seconds": 0.1}
    settler = settler_app(SettlerSettings.model_validate(common | settling))
    async with (
        TestServer(settler),
        TestClient(TestServer(betting_app(Settings.model_validate(common | serving)))) as client,
    ):
        yield client
