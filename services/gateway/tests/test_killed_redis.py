"""A Redis that is killed between a signed request and its replay, and has forgotten every nonce."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from common.redis import connect
from gateway.domain import shape_of
from gateway.routes import ROUTES
from redis.exceptions import RedisError
from yarl import URL

from services.gateway.tests.conftest import MakeGateway
from services.gateway.tests.people import bettor, enrolled
from tools.docs import SERVICES

PATH = "/v1/play/limits"


@asynccontextmanager
async def forgetful_redis(port: int, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real server that keeps nothing on disk: a machine that loses power may lose as much."""
    arguments = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--appendonly",
        "no",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    process = await asyncio.create_subprocess_exec(
        "redis-server", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        client = connect(f"redis://127.0.0.1:{port}/0")
        async with asyncio.timeout(10):
            while True:
                try:
                    await client.ping()
                    break
                except RedisError:
                    await asyncio.sleep(0.05)
        await client.aclose()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_limit_is_not_set_again_by_who_overheard_it_though_its_nonce_is_forgotten(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    async with make_gateway(redis_url=f"redis://127.0.0.1:{port}/0") as gateway:
        async with forgetful_redis(port, tmp_path) as redis:
            session = {**await bettor(gateway), "Content-Type": "application/json"}
            signer = await enrolled(gateway, session)
            url = URL(str(gateway.make_url(PATH)))
            sent = []
            for amount in ("500.00", "200.00"):
                body = json.dumps({"measure": "stake", "period": "day", "amount": amount}).encode()
                headers = signer.headers("PUT", url, {**session, "Idempotency-Key": str(uuid4())}, body)
                answer = await gateway.put(PATH, data=body, headers=headers)
                assert answer.status == 202, await answer.text()
                sent.append((headers, body))
            redis.kill()
            await redis.wait()
        async with forgetful_redis(port, tmp_path):
            again = await gateway.put(PATH, data=sent[0][1], headers=sent[0][0])
            assert again.status == 202, await again.text()
            (limit,) = (await again.json())["limits"]
            assert (limit["amount"], limit["pending"]) == ("200.00", None)


def test_whatever_is_signed_happens_once_by_its_key_and_not_by_its_nonce() -> None:
    """A nonce is worth what Redis remembers, a key is in the transaction of what it does."""
    keyed = {
        (route.method, shape_of(route.path))
        for routes in SERVICES.values()
        for route in routes
        if route.idempotent
    }
    signed = [(route.method, shape_of(route.path)) for route in ROUTES if route.signed]
    assert [each for each in signed if each not in keyed] == []
    assert len(signed) >= 4
