"""Which requests are limited, and by what. How they are counted is tested where it is done."""

import asyncio
import secrets
from uuid import uuid4

import pytest
from gateway.domain import Service

from services.gateway.tests.conftest import Behind, Client, MakeGateway
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


@pytest.mark.parametrize("path", ["/v1/live", "/v1/live/events?ch=me", "/v1/deposits"])
async def test_who_makes_sessions_up_reaches_identity_no_faster_than_their_address_may(
    make_gateway: MakeGateway, behind: Behind, path: str
) -> None:
    async with make_gateway(address_per_second=0.1, address_burst=3) as gateway:
        statuses = []
        for _ in range(6):
            made_up = {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}
            statuses.append((await gateway.get(path, headers=made_up)).status)
        assert statuses == [401] * 3 + [429] * 3
        assert behind.asked_identity["/internal/token"] == 3


async def test_connections_that_listen_are_counted_like_requests(make_gateway: MakeGateway) -> None:
    async with make_gateway(other_per_second=0.1, other_burst=3) as gateway:
        first, second = [await bettor(gateway, number) for number in range(2)]
        statuses = []
        for _ in range(4):
            async with gateway.get("/v1/live/events?ch=me", headers=first) as answer:
                statuses.append(answer.status)
        assert statuses == [200, 200, 200, 429]
        async with gateway.get("/v1/live/events?ch=me", headers=second) as answer:
            assert answer.status == 200


async def test_what_is_asked_for_over_a_connection_is_counted_like_requests(
    make_gateway: MakeGateway, behind: Behind
) -> None:
    """Whoever had opened one had betting asked as often as they could send."""
    async with make_gateway(other_per_second=0.1, other_burst=3) as gateway:
        session = await bettor(gateway)
        behind.upstreams[Service.BETTING].missing = True
        async with gateway.ws_connect("/v1/live", headers=session) as socket:
            statuses = []
            for _ in range(5):
                await socket.send_json({"op": "sub", "ch": [f"market:{uuid4()}"]})
                statuses.append((await socket.receive_json(timeout=10))["problem"]["status"])
        assert statuses == [404] * 2 + [429] * 3
        assert behind.upstreams[Service.BETTING].requests.total() == 2


async def test_a_network_of_one_client_is_one_address(make_gateway: MakeGateway) -> None:
    """Whoever has IPv6 has 2^64 addresses, and each was let in anew."""
    async with make_gateway(auth_per_second=0.01, auth_burst=3, trusted_proxies=["127.0.0.0/8"]) as gateway:

        async def found(addresses: list[str]) -> list[int]:
            answers = [
                await gateway.post(
                    "/v1/login",
                    json={"email": f"{uuid4()}@example.mx", "password": "x"},
                    headers={"X-Forwarded-For": each},
                )
                for each in addresses
            ]
            return [answer.status for answer in answers]

        assert await found([f"2001:db8:1:2:{number}::1" for number in range(5)]) == [401] * 3 + [429] * 2
        assert (
            await found(["2001:db8:1:3::1", "203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7"]) == [401] * 4
        )
        assert await found(["::ffff:203.0.113.7", "::ffff:203.0.113.8"]) == [429, 401]


async def test_a_request_is_counted_once_by_its_address(make_gateway: MakeGateway) -> None:
    """Whether or not identity had to be asked about its session."""
    async with make_gateway() as gateway:
        session = await bettor(gateway)
        async with make_gateway(address_per_second=0.01, address_burst=4, other_burst=400) as tight:
            statuses = [(await tight.get("/v1/deposits", headers=session)).status for _ in range(5)]
            assert statuses == [200] * 4 + [429]


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
