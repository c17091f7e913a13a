"""A real identity, killed by SIGKILL between what it has committed and what it had yet to do."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from identity.settings import Settings
from pydantic import SecretStr

from services.identity.tests.people import PASSWORD, Letters, Owner, papers
from tools.proxy import Proxy

NEW = "otra frase muy distinta"
WAITS_FOR_US = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))
"""


@asynccontextmanager
async def serving(
    settings: Settings, log: Path, redis_url: str
) -> AsyncIterator[tuple[aiohttp.ClientSession, asyncio.subprocess.Process]]:
    """An identity in a process of its own on those servers, and a client of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    told = {
        name.upper(): str(value.get_secret_value() if isinstance(value, SecretStr) else value)
        for name, value in settings
        if value is not None
    }
    environment = {**os.environ, **told, "PORT": str(port), "REDIS_URL": redis_url}
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "identity", env=environment, stdout=out, stderr=out
        )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            async with asyncio.timeout(60):
                while True:
                    with suppress(aiohttp.ClientError):
                        async with client.get("/readyz") as answer:
                            if answer.status == 200:
                                break
                    assert process.returncode is None, f"see {log}"
                    await asyncio.sleep(0.1)
            yield client, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def post(client: aiohttp.ClientSession, path: str, body: Mapping[str, object], **more: str) -> int:
    async with client.post(path, json=body, headers=more) as answer:
        return answer.status


async def opens(client: aiohttp.ClientSession, session: str) -> bool:
    return await post(client, "/internal/token", {"session": session, "audience": "betting"}) == 200


async def test_a_session_on_the_old_password_does_not_outlive_it_though_we_die_on_the_way(
    settings: Settings, owner: Owner, letters: Letters, redis_url: str, tmp_path: Path
) -> None:
    """Begun after the reset had ended the sessions there were and before it was committed; killed before it ended them again."""
    where, log = urlsplit(redis_url), tmp_path / "identity.log"
    link = Proxy(where.hostname or "", where.port or 0)
    me = papers()
    async with link.listening() as proxy:
        through = redis_url.replace(f":{where.port}/", f":{proxy.port}/")
        async with serving(settings, log, through) as (client, process):
            key = {"Idempotency-Key": "a-key-for-registering"}
            assert await post(client, "/v1/register", me.body, **key) == 201
            assert await post(client, "/v1/password/forgot", {"email": me.email}) == 202
            reset = {
                "email": me.email,
                "code": await letters.code("reset-code", to=me.email),
                "password": NEW,
            }
            async with owner.transaction():
                await owner.execute("SELECT FROM users FOR UPDATE")
                resetting = asyncio.create_task(post(client, "/v1/password/reset", reset))
                while not await owner.fetchval(WAITS_FOR_US):
                    await asyncio.sleep(0.02)
                async with client.post("/v1/login", json={"email": me.email, "password": PASSWORD}) as answer:
                    assert answer.status == 200
                    session = str((await answer.json())["session"])
                assert await opens(client, session)
                proxy.stall()
            while await owner.fetchval("SELECT password_changed_at IS NULL FROM users"):
                await asyncio.sleep(0.005)
            process.kill()
            await process.wait()
            with suppress(aiohttp.ClientError):
                await resetting
    async with serving(settings, log, redis_url) as (client, _):
        assert await post(client, "/v1/login", {"email": me.email, "password": NEW}) == 200
        assert not await opens(client, session)
