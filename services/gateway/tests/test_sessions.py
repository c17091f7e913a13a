"""Sessions at the door: one exchange for many requests, forgotten on log-out, never past its time."""

import asyncio
from datetime import UTC, datetime, timedelta

from common.client import ServiceClient
from common.redis import connect
from common.testing import stack
from gateway.domain import Service
from gateway.sessions import TokenExchange

from services.gateway.tests.conftest import Behind, Client, MakeGateway
from services.gateway.tests.people import bettor

EXCHANGE = "/internal/token"


async def test_many_requests_need_one_exchange(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    answers = await asyncio.gather(*(gateway.get("/v1/wallet", headers=session) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert behind.asked_identity[EXCHANGE] == 1


async def test_each_service_gets_a_token_of_its_own(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    for path in ("/v1/wallet", "/v1/bets", "/v1/clabe", "/v1/me"):
        assert (await gateway.get(path, headers=session)).status == 200
    assert behind.asked_identity[EXCHANGE] == 4


async def test_a_logout_is_noticed_at_once_by_every_route(gateway: Client) -> None:
    session = await bettor(gateway)
    for path in ("/v1/wallet", "/v1/bets"):
        assert (await gateway.get(path, headers=session)).status == 200
    assert (await gateway.post("/v1/logout", headers=session)).status == 204
    for path in ("/v1/wallet", "/v1/bets", "/v1/me"):
        assert (await gateway.get(path, headers=session)).status == 401
    assert (await gateway.post("/v1/logout", headers=session)).status == 401


async def test_a_logout_elsewhere_is_noticed_when_the_kept_token_runs_out(make_gateway: MakeGateway) -> None:
    async with make_gateway(token_keep_seconds=1.5) as here, make_gateway() as elsewhere:
        session = await bettor(here)
        assert (await here.get("/v1/wallet", headers=session)).status == 200
        assert (await elsewhere.post("/v1/logout", headers=session)).status == 204
        assert (await here.get("/v1/wallet", headers=session)).status == 200
        await asyncio.sleep(1.6)
        assert (await here.get("/v1/wallet", headers=session)).status == 401


async def test_a_session_forgotten_while_it_is_asked_for_is_not_kept(gateway: Client, behind: Behind) -> None:
    secret = (await bettor(gateway))["Authorization"].removeprefix("Bearer ")
    async with ServiceClient(behind.urls[Service.IDENTITY]) as identity:
        exchange = TokenExchange(identity, keep_seconds=30, capacity=10)
        asking = asyncio.create_task(exchange.token_for(secret, Service.LEDGER))
        await asyncio.sleep(0)
        exchange.forget(secret)
        assert (await asking).token
        await exchange.token_for(secret, Service.LEDGER)
    assert behind.asked_identity[EXCHANGE] == 2


async def test_the_least_recently_used_sessions_are_forgotten_first(gateway: Client, behind: Behind) -> None:
    secrets = [
        (await bettor(gateway, number))["Authorization"].removeprefix("Bearer ") for number in range(3)
    ]
    async with ServiceClient(behind.urls[Service.IDENTITY]) as identity:
        exchange = TokenExchange(identity, keep_seconds=30, capacity=2)
        for number in (0, 1, 0, 2, 0, 1):
            await exchange.token_for(secrets[number], Service.LEDGER)
    assert behind.asked_identity[EXCHANGE] == 4


async def test_while_identity_is_away_nobody_gets_in(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    await behind.identity.close()
    answer = await gateway.get("/v1/wallet", headers=session)
    assert (answer.status, (await answer.json())["type"]) == (503, "/problems/sessions-unavailable")
    assert int(answer.headers["Retry-After"]) > 0


async def test_who_has_played_for_an_hour_is_told(gateway: Client) -> None:
    session = await bettor(gateway)
    fresh = await gateway.get("/v1/wallet", headers=session)
    assert "Reality-Check" not in fresh.headers
    (listed,) = (await (await gateway.get("/v1/sessions", headers=session)).json())["items"]
    began = int((datetime.now(UTC) - timedelta(minutes=125)).timestamp())
    redis = connect(stack().redis_url)
    await redis.hset(f"identity:session:{listed['id']}", "started", began)
    await redis.aclose()
    answer = await gateway.get("/v1/bets", headers=session)
    assert answer.headers["Reality-Check"] == "minutes=125, every=60"
