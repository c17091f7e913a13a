"""The real gateway before the real identity and small real servers in the places of the others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from common.kept_database import KeptDatabase, keeping
from common.redis import connect
from common.signing import SigningKey
from common.testing import Database, stack
from gateway.app import REVOCATIONS, gateway_app
from gateway.domain import PublicRoute, Service
from gateway.routes import ROUTES
from gateway.settings import Settings
from identity.app import identity_app
from identity.derived import create_master_key
from identity.settings import Settings as IdentitySettings
from identity.tokens import create_badge_key, create_keys

from services.gateway.tests.upstream import Upstream

Client: TypeAlias = TestClient[web.Request, web.Application]
MakeGateway = Callable[..., AbstractAsyncContextManager[Client]]

# A database of Redis's own for the limits: they are kept per address, and every test has the same one.
LIMITS_DATABASE = 15

PLAYED: Sequence[Service] = (Service.BETTING, Service.PAYMENTS, Service.LEDGER)


@dataclass(frozen=True, slots=True)
class Behind:
    """What is behind the gateway."""

    identity: TestServer
    asked_identity: Counter[str]
    upstreams: dict[Service, Upstream]
    urls: dict[Service, str]


@pytest.fixture(scope="session")
def kept_database() -> Iterator[KeptDatabase]:
    with keeping("identity") as kept:
        yield kept


@pytest.fixture
async def database(kept_database: KeptDatabase) -> Database:
    return await kept_database.as_new()


@pytest.fixture
async def behind(database: Database, tmp_path: Path) -> AsyncIterator[Behind]:
    keys, master, badge = tmp_path / "keys.json", tmp_path / "master", tmp_path / "badge"
    create_keys(keys, now=datetime.now(UTC))
    create_master_key(master)
    create_badge_key(badge, now=datetime.now(UTC))
    settings = IdentitySettings.model_validate(
        {
            "port": 1,
            "database_dsn": database.dsn("identity_app"),
            "redis_url": stack().redis_url,
            "signing_keys_file": keys,
            "master_key_file": master,
            "badge_key_file": badge,
            "ledger_url": "http://127.0.0.1:1",
            "ledger_api_key": "lk_live_none",
            "ledger_signing_key": SigningKey("none", bytes(32)).written(),
        }
    )
    async with AsyncExitStack() as servers:
        app = identity_app(settings)
        asked: Counter[str] = Counter()
        app.on_response_prepare.append(_counting(asked))
        identity = TestServer(app)
        await servers.enter_async_context(identity)
        urls = {Service.IDENTITY: str(identity.make_url("/"))}
        upstreams = {service: Upstream(service) for service in PLAYED}
        for service, upstream in upstreams.items():
            server = TestServer(upstream.app(urls[Service.IDENTITY]))
            await servers.enter_async_context(server)
            urls[service] = str(server.make_url("/"))
        yield Behind(identity, asked, upstreams, urls)


def _counting(asked: Counter[str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def count(request: web.Request, _: web.StreamResponse) -> None:
        asked[request.path] += 1

    return count


@pytest.fixture
async def limits_url() -> str:
    """Redis for the rate limits, empty."""
    url = f"{stack().redis_url.rsplit('/', 1)[0]}/{LIMITS_DATABASE}"
    redis = connect(url)
    await redis.flushdb()
    await redis.aclose()
    return url


async def hears(app: web.Application, *, yes: bool = True) -> None:
    """Wait until a gateway hears of revocations, or does not any more."""
    async with asyncio.timeout(10):
        while app[REVOCATIONS].hearing is not yes:
            await asyncio.sleep(0.02)


@pytest.fixture
def make_gateway(behind: Behind, limits_url: str) -> MakeGateway:
    """Starts a gateway with some settings changed."""

    @asynccontextmanager
    async def make(table: Sequence[PublicRoute] = ROUTES, **changes: object) -> AsyncIterator[Client]:
        settings = {
            "port": 1,
            "redis_url": limits_url,
            "amqp_url": stack().rabbitmq.url("gateway"),
            **{f"{service}_url": url for service, url in behind.urls.items()},
        }
        app = gateway_app(Settings.model_validate(settings | changes), table)
        async with TestClient(TestServer(app)) as client:
            if "amqp_url" not in changes:
                await hears(app)
            yield client

    return make


@pytest.fixture
async def gateway(make_gateway: MakeGateway) -> AsyncIterator[Client]:
    async with make_gateway() as client:
        yield client
