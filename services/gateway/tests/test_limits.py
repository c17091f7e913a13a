"""Which requests are limited, and by what. How they are counted is tested where it is done."""

import asyncio

import pytest

from services.gateway.tests.conftest import Client, MakeGateway
from services.gateway.tests.people import bettor, logged_in, registered

WRONG = {"email": "nobody@example.mx", "password": "x"}
NOWHERE = "redis://127.0.0.1:1/0"


async def test_guessing_passwords_from_one_address_is_slowed_down(make_gateway: MakeGateway) -> None:
    async with make_gateway(auth_per_second=0.1, auth_burst=3) as gateway:
        statuses = [(await gateway.post("/v1/login", json=WRONG)).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        answer = await gateway.post("/v1/login", json=WRONG)
        assert (await answer.json())["type"] == "/problems/rate-limited"
        assert 1 <= int(answer.headers["Retry-After"]) <= 10
        assert answer.headers["RateLimit-Policy"] == '"auth";q=3;w=30'
        assert answer.headers["RateLimit"].startswith('"auth";r=0;t=')


async def test_money_is_limited_per_person_and_reading_is_not(make_gateway: MakeGateway) -> None:
    async with make_gateway(money_per_second=0.1, money_burst=2) as gateway:
        first, second = [await bettor(gateway, number) for number in range(2)]
        statuses = [(await gateway.post("/v1/deposits", json={}, headers=first)).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await gateway.post("/v1/deposits", json={}, headers=second)).status == 200
        assert {(await gateway.get("/v1/deposits", headers=first)).status for _ in range(5)} == {200}


@pytest.mark.parametrize("path", ["/v1/login", "/v1/register"])
async def test_while_nothing_can_be_counted_nobody_tries_passwords(
    make_gateway: MakeGateway, path: str
) -> None:
    async with make_gateway(redis_url=NOWHERE) as gateway:
        answer = await gateway.post(path, json=WRONG)
        assert (answer.status, (await answer.json())["type"]) == (503, "/problems/limiter-unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        ready = await gateway.get("/readyz")
        assert (ready.status, (await ready.json())["failed"]) == (503, ["rate-limits"])


async def test_while_nothing_can_be_counted_bettors_go_on(gateway: Client, make_gateway: MakeGateway) -> None:
    session = await bettor(gateway)
    async with make_gateway(redis_url=NOWHERE) as blind:
        assert (await blind.post("/v1/deposits", json={}, headers=session)).status == 200


async def test_the_default_limits_let_a_whole_track_in_from_one_address(gateway: Client) -> None:
    await registered(gateway)
    for _ in range(10):
        await asyncio.gather(*(logged_in(gateway) for _ in range(6)))
