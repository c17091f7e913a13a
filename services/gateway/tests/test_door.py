"""What passes the public door, what does not, and what happens when the other side fails."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from common.breaker import TRIP_AFTER
from gateway.domain import Service
from gateway.routes import ROUTES

from services.gateway.tests.conftest import Behind, Client, MakeGateway
from services.gateway.tests.people import bettor, enrolled, logged_in, registered, send_signed

OFFER = {"market_id": "m", "stake": "100.00"}
IMPATIENT = [
    replace(row, timeout_seconds=0.3) if (row.method, row.path) == ("POST", "/v1/deposits") else row
    for row in ROUTES
]


async def raw(gateway: Client, request: str) -> str:
    """Send bytes as they are, since clients tidy paths up; gives the head of the answer."""
    reader, writer = await asyncio.open_connection(gateway.server.host, gateway.server.port)
    writer.write(request.encode())
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.decode()


async def test_a_bettor_registers_logs_in_and_reads_their_wallet(gateway: Client) -> None:
    user_id = await registered(gateway)
    session = await logged_in(gateway)
    me = await gateway.get("/v1/me", headers=session)
    assert (await me.json())["id"] == user_id
    wallet = await gateway.get("/v1/wallet?currency=MXN&after=a%26b", headers=session)
    seen = await wallet.json()
    assert (seen["subject"], seen["role"]) == (user_id, "bettor")
    assert seen["path"] == "/v1/wallet?currency=MXN&after=a%26b"


async def test_only_listed_headers_reach_the_service_and_never_the_session(gateway: Client) -> None:
    session = await bettor(gateway)
    sent = {
        **session,
        "X-Forwarded-For": "1.2.3.4",
        "Cookie": "a=b",
        "X-Internal": "1",
        "Idempotency-Key": "k",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    answer = await gateway.post("/v1/deposits", json=OFFER, headers=sent)
    seen = (await answer.json())["headers"]
    assert set(seen) <= {
        "host",
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "idempotency-key",
        "traceparent",
        "x-request-id",
    }
    assert seen["idempotency-key"] == "k"
    assert seen["authorization"] != session["Authorization"]
    assert seen["x-request-id"] == answer.headers["X-Request-Id"]
    assert seen["traceparent"].split("-")[1] == "0af7651916cd43dd8448eb211c80319c"


async def test_a_body_passes_byte_for_byte(gateway: Client) -> None:
    session = await bettor(gateway)
    body = '{ "stake":"100.00",\t"ñ": "☂" }'
    headers = {**session, "Content-Type": "application/json"}
    answer = await gateway.post("/v1/deposits", data=body.encode(), headers=headers)
    assert (await answer.json())["body"] == body


async def test_only_listed_headers_come_back_with_the_security_ones(gateway: Client) -> None:
    answer = await gateway.get("/v1/wallet", headers=await bettor(gateway))
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert not {"Set-Cookie", "X-Internal", "Server"} & set(answer.headers)


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer x", "Basic dTpw", f"Bearer {'A' * 43}", f"Bearer {'A' * 44}"],
)
async def test_without_a_live_session_nothing_reaches_a_service(
    gateway: Client, behind: Behind, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await gateway.post("/v1/deposits", json=OFFER, headers=headers)
    assert answer.status == 401
    assert answer.content_type == "application/problem+json"
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_two_sessions_in_one_request_are_none(gateway: Client) -> None:
    session = (await bettor(gateway))["Authorization"]
    head = await raw(
        gateway,
        f"GET /v1/wallet HTTP/1.1\r\nHost: x\r\nAuthorization: {session}\r\nAuthorization: {session}\r\n\r\n",
    )
    assert " 40" in head.splitlines()[0]


async def test_an_internal_token_is_no_session(gateway: Client) -> None:
    seen = await (await gateway.get("/v1/wallet", headers=await bettor(gateway))).json()
    answer = await gateway.get("/v1/wallet", headers={"Authorization": seen["headers"]["authorization"]})
    assert answer.status == 401


async def test_a_bettor_cannot_officiate(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    for path in ("/v1/events", "/v1/races/7/results", "/v1/markets/7/close"):
        answer = await gateway.post(path, json={}, headers=session)
        assert (answer.status, (await answer.json())["type"]) == (403, "/problems/role-forbidden")
    assert not behind.upstreams[Service.BETTING].requests


@pytest.mark.parametrize(
    "target",
    [
        "/internal/token",
        "/.well-known/jwks.json",
        "/v1/entries",
        "/v1/accounts",
        "/v1/trial-balance",
        "/v1/receipts",
        "/v1/../internal/token",
        "/v1/deposits/../../internal/token",
        "/v1/deposits/..%2f..%2finternal%2ftoken",
        "/v1/deposits/%2e%2e",
        "/v1/%6de",
        "//internal/token",
        "/v1//offers",
        "/v1/deposits/",
        "/v1/deposits/7;jsessionid=1",
        "/v1/deposits/" + "7" * 200,
        "http://127.0.0.1:1/internal/token",
        "/v1/deposits?" + "q" * 3000,
    ],
)
async def test_nothing_but_the_table_is_reachable(gateway: Client, behind: Behind, target: str) -> None:
    session = (await bettor(gateway))["Authorization"]
    exchanges = behind.asked_identity.copy()
    for method in ("GET", "POST"):
        head = await raw(
            gateway,
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: {session}\r\nContent-Length: 0\r\n\r\n",
        )
        assert head.split()[1] in {"400", "404", "405"}, head
    assert behind.asked_identity == exchanges
    assert not any(upstream.requests for upstream in behind.upstreams.values())


async def test_an_absolute_target_does_not_choose_the_host(gateway: Client) -> None:
    session = (await bettor(gateway))["Authorization"]
    head = await raw(
        gateway, f"GET http://127.0.0.1:1/v1/wallet HTTP/1.1\r\nHost: x\r\nAuthorization: {session}\r\n\r\n"
    )
    assert head.split()[1] == "200"


async def test_a_wrong_method_names_the_right_ones(gateway: Client) -> None:
    answer = await gateway.put("/v1/deposits", json=OFFER)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET,POST"


async def test_a_large_body_is_refused_whether_it_says_so_or_not(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    body = b"x" * 20_000

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield body[:1000]

    for data in (body, unannounced()):
        answer = await gateway.post("/v1/deposits", data=data, headers=session)
        assert (answer.status, (await answer.json())["type"]) == (413, "/problems/payload-too-large")
    assert (await gateway.get("/v1/wallet", data=b"x", headers=session)).status == 413
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_a_body_that_dribbles_in_is_given_up(make_gateway: MakeGateway, behind: Behind) -> None:
    async with make_gateway(body_timeout_seconds=0.5) as gateway:
        session = (await bettor(gateway))["Authorization"]
        head = await raw(
            gateway,
            f"POST /v1/deposits HTTP/1.1\r\nHost: x\r\nAuthorization: {session}\r\nContent-Length: 100\r\n\r\nx",
        )
    assert head.split()[1] == "408"
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_a_body_in_broken_chunks_is_the_clients_fault(gateway: Client, behind: Behind) -> None:
    session = (await bettor(gateway))["Authorization"]
    head = await raw(
        gateway,
        "POST /v1/deposits HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: {session}\r\n\r\nzz\r\nx",
    )
    assert head.split()[1] == "400"
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_a_body_that_is_not_encoded_as_it_says_is_the_clients_fault(
    gateway: Client, behind: Behind
) -> None:
    headers = {**await bettor(gateway), "Content-Encoding": "gzip"}
    answer = await gateway.post("/v1/deposits", data=b"this is not gzip", headers=headers)
    assert (answer.status, (await answer.json())["field"]) == (400, "body")
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(gateway: Client, behind: Behind) -> None:
    headers = {**await bettor(gateway), "Content-Encoding": "gzip"}
    answer = await gateway.post("/v1/deposits", data=gzip.compress(b"x" * 1_000_000), headers=headers)
    assert answer.status == 413
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_a_service_that_does_not_answer_in_time_is_a_504(
    make_gateway: MakeGateway, behind: Behind
) -> None:
    async with make_gateway(IMPATIENT) as gateway:
        session = await bettor(gateway)
        behind.upstreams[Service.PAYMENTS].delay_seconds = 3.0
        answer = await gateway.post("/v1/deposits", json=OFFER, headers=session)
        problem = await answer.json()
    assert (answer.status, problem["type"]) == (504, "/problems/upstream-timeout")
    assert "Idempotency-Key" in problem["detail"]
    assert behind.upstreams[Service.PAYMENTS].requests.total() == 1


async def test_a_service_that_is_away_is_a_503_at_once(make_gateway: MakeGateway) -> None:
    async with make_gateway(payments_url="http://127.0.0.1:1") as gateway:
        answer = await gateway.post("/v1/deposits", json=OFFER, headers=await bettor(gateway))
        assert (answer.status, (await answer.json())["type"]) == (503, "/problems/upstream-down")
        assert answer.headers["Retry-After"] == "1"


async def test_a_service_with_too_much_to_do_is_not_taken_for_dead(
    make_gateway: MakeGateway, behind: Behind
) -> None:
    """Who finds no place is told so, and so is who comes next: a circuit would turn away what the service has room for."""
    async with make_gateway(upstream_places=2, connect_seconds=0.2) as gateway:
        session = await bettor(gateway)
        behind.upstreams[Service.PAYMENTS].delay_seconds = 1.0

        async def deposit() -> tuple[int, str | None]:
            answer = await gateway.post("/v1/deposits", json=OFFER, headers=session)
            return answer.status, (await answer.json()).get("type")

        first = [asyncio.create_task(deposit()) for _ in range(2 + TRIP_AFTER)]
        async with asyncio.timeout(5):
            while sum(task.done() for task in first) < TRIP_AFTER:
                await asyncio.sleep(0.02)
        assert await deposit() == (503, "/problems/upstream-busy")
        told = sorted(await asyncio.gather(*first), key=str)
        assert told == [(200, None)] * 2 + [(503, "/problems/upstream-busy")] * TRIP_AFTER
        behind.upstreams[Service.PAYMENTS].delay_seconds = 0
        assert await deposit() == (200, None)
    assert behind.upstreams[Service.PAYMENTS].requests.total() == 3


async def test_a_mutation_is_sent_once_even_when_the_connection_breaks(
    gateway: Client, behind: Behind
) -> None:
    """aiohttp itself would send a DELETE again on a connection that was kept open."""
    session = await bettor(gateway)
    signer = await enrolled(gateway, session)
    for method, path, service in (
        ("POST", "/v1/deposits", Service.PAYMENTS),
        ("DELETE", "/v1/offers/7", Service.BETTING),
    ):
        upstream = behind.upstreams[service]
        assert (await gateway.get(path, headers=session)).status == 200
        upstream.drop = True
        answer = await send_signed(gateway, signer, method, path, session, b"")
        assert (answer.status, (await answer.json())["type"]) == (502, "/problems/upstream-broke")
        assert upstream.requests[f"{method} {path}"] == 1


async def test_an_answer_cut_short_is_not_passed_off_as_whole(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    behind.upstreams[Service.LEDGER].drop_after_bytes = 1000
    with pytest.raises(aiohttp.ClientError):
        await (await gateway.get("/v1/wallet", headers=session)).read()


async def test_a_long_answer_streams_through(gateway: Client) -> None:
    session = await bettor(gateway)
    body = json.dumps({"text": "x" * 15_000})
    headers = {**session, "Content-Type": "application/json"}
    answer = await gateway.post("/v1/deposits", data=body, headers=headers)
    assert (await answer.json())["body"] == body


async def test_a_refused_internal_token_is_not_the_bettors_fault(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    behind.upstreams[Service.LEDGER].refuse_token = True
    answer = await gateway.get("/v1/wallet", headers=session)
    assert (answer.status, (await answer.json())["type"]) == (503, "/problems/internal-token-refused")
    behind.upstreams[Service.LEDGER].refuse_token = False
    asked = behind.asked_identity["/internal/token"]
    assert (await gateway.get("/v1/wallet", headers=session)).status == 200
    assert behind.asked_identity["/internal/token"] == asked + 1


async def test_the_services_own_refusals_pass_as_they_are(gateway: Client) -> None:
    answer = await gateway.post("/v1/login", json={"email": "nobody@example.mx", "password": "x"})
    problem = await answer.json()
    assert (answer.status, problem["type"]) == (401, "/problems/bad-credentials")
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    missing = await gateway.post("/v1/register", json={})
    assert (missing.status, (await missing.json())["field"]) == (400, "Idempotency-Key")
