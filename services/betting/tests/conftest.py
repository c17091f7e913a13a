"""Betting on a database of its own, with a small ledger beside it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from betting.app import betting_app
from betting.settings import Settings
from common.signing import SigningKey
from common.testing import Database, fresh_database

from services.betting.tests.fake_ledger import API_KEY, FakeIdentity, FakeLedger, neighbours
from services.betting.tests.venue import Venue, open_venue


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with fresh_database("betting") as copy:
        yield copy


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
    """The real application over HTTP."""
    settings = Settings.model_validate(
        {
            "port": 1,
            "database_dsn": database.dsn("betting_app"),
            "identity_url": identity.url,
            "ledger_url": ledger.url,
            "ledger_api_key": API_KEY,
            "ledger_signing_key": SigningKey("test", bytes(32)).written(),
            "ledger_timeout_seconds": 0.5,
            "patience_seconds": 0.2,
            "sweep_seconds": 0.1,
            "deadline_seconds": 0.1,
        }
    )
    async with TestClient(TestServer(betting_app(settings))) as client:
        yield client
