"""Betting as it is served: the real application over HTTP, and the settler beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from betting.app import betting_app, settler_app
from betting.settings import Settings, SettlerSettings
from common.signing import SigningKey
from common.testing import Database, stack

from services.betting.tests.fake_ledger import API_KEY, FakeIdentity, FakeLedger


@asynccontextmanager
async def served(
    database: Database, ledger: FakeLedger, identity: FakeIdentity
) -> AsyncIterator[TestClient[Any, Any]]:
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
