"""The real application over HTTP, on a database of its own and the stack's Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pyotp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from common.kept_database import KeptDatabase, keeping
from common.redis import connect
from common.signing import SigningKey
from common.testing import Database, stack
from identity.__main__ import main
from identity.app import identity_app
from identity.derived import create_master_key
from identity.settings import Settings
from identity.tokens import create_badge_key, create_keys

from services.identity.tests.people import Client, Letters, Owner, Papers, as_user, papers
from services.identity.tests.staff import Member

REDIS_DATABASE = 14

Create = Callable[..., Awaitable[tuple[int, str]]]
Appointed = Callable[[int, str], Awaitable[Member]]
MakeClient = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="session")
def kept_database() -> Iterator[KeptDatabase]:
    with keeping("identity") as kept:
        yield kept


@pytest.fixture
async def database(kept_database: KeptDatabase) -> Database:
    return await kept_database.as_new()


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[Owner]:
    """A connection that may look at everything."""
    connection = await asyncpg.connect(database.superuser_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def redis_url() -> str:
    """Redis, empty: guesses are counted per account, and every test has the same people."""
    url = f"{stack().redis_url.rsplit('/', 1)[0]}/{REDIS_DATABASE}"
    redis = connect(url)
    await redis.flushdb()
    await redis.aclose()
    return url


@pytest.fixture
def settings(database: Database, redis_url: str, tmp_path: Path) -> Settings:
    keys, master, badge = tmp_path / "keys.json", tmp_path / "master", tmp_path / "badge"
    create_keys(keys, now=datetime.now(UTC))
    create_master_key(master)
    create_badge_key(badge, now=datetime.now(UTC))
    return Settings.model_validate(
        {
            "port": 1,
            "database_dsn": database.dsn("identity_app"),
            "redis_url": redis_url,
            "signing_keys_file": keys,
            "master_key_file": master,
            "badge_key_file": badge,
            "ledger_url": "http://127.0.0.1:1",
            "ledger_api_key": "lk_live_none",
            "ledger_signing_key": SigningKey("none", bytes(32)).written(),
            "messenger_url": f"file://{tmp_path / 'letters.jsonl'}",
        }
    )


@pytest.fixture
def letters(settings: Settings) -> Letters:
    """What has been sent to people."""
    return Letters(Path(urlsplit(settings.messenger_url.get_secret_value()).path))


@pytest.fixture
def make_client(settings: Settings) -> MakeClient:
    """Starts the application with some settings changed."""

    @asynccontextmanager
    async def make(**changes: object) -> AsyncIterator[Client]:
        changed = Settings.model_validate(settings.model_dump() | changes)
        async with TestClient(TestServer(identity_app(changed))) as client:
            yield client

    return make


@pytest.fixture
async def client(make_client: MakeClient) -> AsyncIterator[Client]:
    async with make_client() as client:
        yield client


@pytest.fixture
def create(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Create:
    """Runs `staff create`, the password on standard input; gives the exit status and what was told."""
    monkeypatch.setenv("DATABASE_DSN", database.dsn("identity_operator"))
    monkeypatch.setenv("MASTER_KEY_FILE", str(settings.master_key_file))

    async def run(who: Papers, *, role: str = "official") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", StringIO(f"{who.password}\n"))
        arguments = ["--email", who.email, "--role", role, "--curp", who.curp, "--full-name", who.full_name]
        status = await asyncio.to_thread(main, ["staff", "create", *arguments])
        told = capfd.readouterr()
        return status, told.out + told.err

    return run


@pytest.fixture
def member(create: Create, client: Client) -> Appointed:
    """Appoints people of the staff and logs them in."""

    async def appointed(number: int, role: str) -> Member:
        who = papers(number)
        status, told = await create(who, role=role)
        assert status == 0, told
        proof = {"email": who.email, "password": who.password, "code": code(authenticator(told))}
        session = (await (await client.post("/v1/login", json=proof)).json())["session"]
        headers = await as_user(client, session)
        return Member((await (await client.get("/v1/me", headers=headers)).json())["id"], headers, session)

    return appointed


def authenticator(told: str) -> pyotp.TOTP:
    """The authenticator that was set up with what the command told."""
    read = pyotp.parse_uri(next(line for line in told.splitlines() if line.startswith("otpauth:")))
    assert isinstance(read, pyotp.TOTP)
    return read


def code(of: pyotp.TOTP, *, steps: int = 0) -> str:
    return of.at(datetime.now(UTC) + timedelta(seconds=30 * steps))
