"""Attacks from outside, through the public door: each is tried for real, and nothing behind hears of it."""

import asyncio
import base64
import hmac
import json
from collections.abc import Mapping

import jwt
import pytest
from common.signing import RequestSigner
from gateway.domain import Service

from services.gateway.tests.conftest import Behind, Client, MakeGateway
from services.gateway.tests.people import PASSWORD, bettor, enrolled_key, logged_in, papers, registered

HEAD = "Host: x\r\nContent-Type: application/json\r\n"


async def raw(gateway: Client, request: bytes, *, seconds: float = 5) -> bytes:
    """Send bytes as they are; gives everything that comes back until the server closes or falls silent."""
    reader, writer = await asyncio.open_connection(gateway.server.host, gateway.server.port)
    writer.write(request)
    answer = b""
    try:
        async with asyncio.timeout(seconds):
            while chunk := await reader.read(65536):
                answer += chunk
    except TimeoutError:
        pass
    writer.close()
    return answer


def statuses(answer: bytes) -> list[int]:
    """The statuses of all answers in a piece of a connection."""
    return [
        int(line.split()[1])
        for line in answer.split(b"\r\n")
        if line.startswith((b"HTTP/1.1 ", b"HTTP/1.0 "))
    ]


# Session fixation


async def test_a_session_is_never_what_the_client_chose(gateway: Client) -> None:
    """Logging in with a session in hand gives another one; one that was made up is never taken over."""
    await registered(gateway)
    proof = {"email": papers()["email"], "password": PASSWORD}
    planted = await logged_in(gateway)
    for header in (planted, {"Authorization": f"Bearer {'A' * 43}"}, {"Cookie": "session=" + "A" * 43}):
        answer = await gateway.post("/v1/login", json=proof, headers=header)
        fresh = {"Authorization": f"Bearer {(await answer.json())['session']}"}
        assert fresh != header
        assert "Set-Cookie" not in answer.headers
        assert (await gateway.get("/v1/wallet", headers=fresh)).status == 200
    assert (await gateway.get("/v1/wallet", headers={"Authorization": f"Bearer {'A' * 43}"})).status == 401


async def test_proving_oneself_again_leaves_the_old_secret_worthless(gateway: Client) -> None:
    old = await bettor(gateway)
    assert (await gateway.get("/v1/wallet", headers=old)).status == 200
    answer = await gateway.post("/v1/step-up", json={"password": PASSWORD}, headers=old)
    new = {"Authorization": f"Bearer {(await answer.json())['session']}"}
    assert (await gateway.get("/v1/wallet", headers=new)).status == 200
    assert (await gateway.get("/v1/wallet", headers=old)).status == 401


# Token confusion


async def made_tokens(gateway: Client, session: Mapping[str, str]) -> dict[str, str]:
    """A real token of this session for the ledger, and what an attacker makes of it."""
    seen = await (await gateway.get("/v1/wallet", headers=session)).json()
    real = seen["headers"]["authorization"].removeprefix("Bearer ")
    head, body, _ = real.split(".")
    kid = jwt.get_unverified_header(real)["kid"]
    claims = jwt.decode(real, options={"verify_signature": False})

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    hs256 = part({"alg": "HS256", "typ": "at+jwt", "kid": kid})
    mac = base64.urlsafe_b64encode(hmac.digest(kid.encode(), f"{hs256}.{body}".encode(), "sha256"))
    return {
        "no signature": f"{part({'alg': 'none', 'typ': 'at+jwt', 'kid': kid})}.{body}.",
        "signature cut off": f"{head}.{body}.",
        "signed by HMAC with what is public": f"{hs256}.{body}.{mac.rstrip(b'=').decode()}",
        "another role": f"{head}.{part({**claims, 'role': 'admin'})}.{real.split('.')[2]}",
        "another audience": real,
    }


async def test_no_token_of_any_kind_opens_the_door(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    for what, token in (await made_tokens(gateway, session)).items():
        before = behind.upstreams[Service.PAYMENTS].requests.total()
        answer = await gateway.get("/v1/deposits", headers={"Authorization": f"Bearer {token}"})
        assert answer.status == 401, what
        assert behind.upstreams[Service.PAYMENTS].requests.total() == before


async def test_the_services_take_no_confused_token_either(gateway: Client, behind: Behind) -> None:
    """Past the gateway: a token for the ledger is none for payments, and a changed one is none at all."""
    tokens = await made_tokens(gateway, await bettor(gateway))
    url = f"{behind.urls[Service.PAYMENTS]}v1/deposits"
    for what, token in tokens.items():
        async with gateway.session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 401, what


# Enumeration and stuffing


async def test_stuffing_is_slowed_down_by_address_and_by_account(make_gateway: MakeGateway) -> None:
    """Many accounts from one address, and one account from many addresses."""
    async with make_gateway(auth_per_second=0.01, auth_burst=8, trusted_proxies=["127.0.0.0/8"]) as gateway:

        async def guess(account: int, address: str) -> int:
            body = {"email": f"p{account}@example.mx", "password": "not it"}
            answer = await gateway.post("/v1/login", json=body, headers={"X-Forwarded-For": address})
            return answer.status

        one_address = [await guess(number, "203.0.113.7") for number in range(12)]
        assert one_address == [401] * 8 + [429] * 4
        one_account = [await guess(99, f"198.51.100.{number}") for number in range(14)]
        assert one_account == [401] * 10 + [429] * 4


async def test_an_address_is_what_our_proxy_says_and_not_what_the_client_says(
    make_gateway: MakeGateway,
) -> None:
    async with make_gateway(auth_per_second=0.01, auth_burst=3, trusted_proxies=["127.0.0.0/8"]) as gateway:
        body = {"email": "nobody@example.mx", "password": "not it"}
        sent = [f"10.9.8.{number}, 203.0.113.7" for number in range(5)]
        found = [
            (await gateway.post("/v1/login", json=body, headers={"X-Forwarded-For": each})).status
            for each in sent
        ]
        assert found == [401] * 3 + [429] * 2
    async with make_gateway(auth_per_second=0.01, auth_burst=3) as gateway:  # nobody is trusted
        found = [
            (await gateway.post("/v1/login", json=body, headers={"X-Forwarded-For": f"10.9.8.{each}"})).status
            for each in range(5)
        ]
        assert found == [401] * 3 + [429] * 2


# Header injection and smuggling


INJECTED = [
    "Idempotency-Key: k\r\n\tX-Injected: 1",
    "Idempotency-Key: k\rX-Injected: 1",
    "Idempotency-Key: k\nX-Injected: 1",
    "Idempotency-Key: k\0",
    "X-Request-Id: a\r\nX-Injected: 1",
    "X-Request-Id: <script>",
    "X-Client-Address: 10.0.0.1",
    "X-Signed-By-Device: 6f1c3f0e-5d3c-4c5e-9f0a-7d2f4f1f0b11",
    "Accept: a\x0b\r\n X-Injected: 1",
]


@pytest.mark.parametrize("header", INJECTED)
async def test_no_header_is_smuggled_to_a_service(gateway: Client, behind: Behind, header: str) -> None:
    session = (await bettor(gateway))["Authorization"]
    request = (
        f"POST /v1/deposits HTTP/1.1\r\n{HEAD}Authorization: {session}\r\nConnection: close\r\n"
        f"{header}\r\nContent-Length: 2\r\n\r\n{{}}"
    )
    answer = await raw(gateway, request.encode("latin-1"))
    assert statuses(answer)[0] in {200, 400}
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"X-Injected" not in head
    if statuses(answer)[0] == 200:
        seen = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["headers"]
        assert not {"x-injected", "x-client-address", "x-signed-by-device"} & set(seen)
        assert seen["x-request-id"].isalnum()
        assert seen.get("accept", "") == "" or "\n" not in seen["accept"]
    assert behind.upstreams[Service.PAYMENTS].requests.total() <= 1


SMUGGLED = {
    "two lengths": "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    "length and chunks": "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/wallet HTTP/1.1\r\n\r\n",
    "chunks spelt otherwise": "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk size with a sign": "Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a negative length": "Content-Length: -2\r\n\r\n{}",
    "a header without a name": ": x\r\nContent-Length: 2\r\n\r\n{}",
    "a blank before the colon": "Content-Length : 2\r\n\r\n{}",
}


@pytest.mark.parametrize("what", SMUGGLED)
async def test_a_request_has_one_end(gateway: Client, behind: Behind, what: str) -> None:
    """Whatever one reader could take for a second request reaches no service."""
    session = (await bettor(gateway))["Authorization"]
    request = f"POST /v1/deposits HTTP/1.1\r\n{HEAD}Authorization: {session}\r\n{SMUGGLED[what]}"
    answer = await raw(gateway, request.encode(), seconds=2)
    assert statuses(answer)
    assert all(400 <= status < 500 for status in statuses(answer)), answer
    assert not any(upstream.requests for upstream in behind.upstreams.values())


NOT_TEXT = ["Accept", "Content-Type", "Idempotency-Key", "webhook-id", "webhook-signature"]


@pytest.mark.parametrize("name", NOT_TEXT)
async def test_what_no_service_could_read_is_a_bad_request(
    gateway: Client, behind: Behind, name: str
) -> None:
    """Bytes that are no text could not be written to the service either: 500, and an error in the log for each."""
    session = (await bettor(gateway))["Authorization"]
    request = f"POST /v1/deposits HTTP/1.1\r\nHost: x\r\nAuthorization: {session}\r\nContent-Length: 2\r\n"
    sent = request.encode() + name.encode() + b": \xff\xfe\r\nConnection: close\r\n\r\n{}"
    head, _, body = (await raw(gateway, sent)).partition(b"\r\n\r\n")
    assert statuses(head) == [400]
    assert json.loads(body)["field"] == name
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_a_browser_that_calls_itself_something_strange_may_log_in(gateway: Client) -> None:
    await registered(gateway)
    body = json.dumps({"email": papers()["email"], "password": PASSWORD})
    request = f"POST /v1/login HTTP/1.1\r\n{HEAD}Connection: close\r\nContent-Length: {len(body)}\r\n"
    answer = await raw(gateway, request.encode() + b"User-Agent: Tel\xe9fono\r\n\r\n" + body.encode())
    assert statuses(answer)[0] == 200
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    mine = await gateway.get("/v1/sessions", headers={"Authorization": f"Bearer {told['session']}"})
    assert (await mine.json())["items"][0]["agent"] == "Tel?fono"


UNREADABLE = [
    b"\xff",
    b"sha-256=:\xff:",
    b"sig1=:AAAA:",
    b"sig1=()",
    b"a=1, b=2",
    b"\xc3\xb1",
    b"sha-256=:AAAA:",
    b'"x',
]


@pytest.mark.parametrize("name", ["Signature-Input", "Signature", "Content-Digest", "Idempotency-Key"])
async def test_a_signature_of_nonsense_is_refused(gateway: Client, name: str) -> None:
    session = await bettor(gateway)
    key = await enrolled_key(gateway, session)
    url = gateway.make_url("/v1/offers")
    for value in UNREADABLE:
        headers = {**session, "Content-Type": "application/json", "Idempotency-Key": "k"}
        signed = RequestSigner(key).headers("POST", url, headers, b"{}")
        lines = [f"{each}: {told}".encode() for each, told in signed.items() if each.lower() != name.lower()]
        head = [b"POST /v1/offers HTTP/1.1", b"Host: x", b"Connection: close", b"Content-Length: 2", *lines]
        sent = b"\r\n".join([*head, name.encode() + b": " + value]) + b"\r\n\r\n{}"
        answer = await raw(gateway, sent)
        assert statuses(answer)[0] in {400, 401, 403}, (value, answer)
        assert b"application/problem+json" in answer


# JSON bombs, at the real identity


BOMBS = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "a long number": b'{"email": ' + b"9" * 10_000 + b"}",
    "an exponent": b'{"email": 1e999999999}',
    "a name again and again": b'{"email": "a", ' * 3_000 + b'"email": "a"}',
    "not a number": b'{"email": NaN}',
    "half a character": b'{"email": "\\ud800", "password": "x"}',
    "a NUL": b'{"email": "a\\u0000@example.mx", "password": "x"}',
    "not UTF-8": b'{"email": "\xff"}',
}


@pytest.mark.parametrize("what", BOMBS)
async def test_a_bomb_is_a_bad_request(gateway: Client, what: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with asyncio.timeout(10):
        answer = await gateway.post("/v1/login", data=BOMBS[what], headers=headers)
    assert answer.status in {400, 401, 413}, await answer.text()
    assert answer.content_type == "application/problem+json"
    assert (await gateway.get("/v1/status")).status == 200


async def test_many_slow_bodies_do_not_keep_others_out(make_gateway: MakeGateway) -> None:
    async with make_gateway(body_timeout_seconds=2.0) as gateway:
        session = await bettor(gateway)
        head = f"POST /v1/deposits HTTP/1.1\r\n{HEAD}Authorization: {session['Authorization']}\r\n"
        slow = [
            asyncio.create_task(raw(gateway, f"{head}Content-Length: 9\r\n\r\n{{".encode(), seconds=8))
            for _ in range(60)
        ]
        await asyncio.sleep(0.2)
        assert (await gateway.get("/v1/wallet", headers=session)).status == 200
        answers = await asyncio.gather(*slow)
    assert {status for answer in answers for status in statuses(answer)} == {408}


async def test_a_wrong_password_of_who_is_logged_in_is_told_as_that(gateway: Client) -> None:
    """It was taken for a token that identity refuses, and answered as if the service were down."""
    session = await bettor(gateway)
    wrong = await gateway.post("/v1/step-up", json={"password": "not it at all"}, headers=session)
    assert (wrong.status, (await wrong.json())["type"]) == (401, "/problems/bad-credentials")
    assert (await gateway.get("/v1/wallet", headers=session)).status == 200
    answer = await gateway.post("/v1/step-up", json={"password": PASSWORD}, headers=session)
    assert answer.status == 200
    again = await gateway.post("/v1/step-up", json={"password": PASSWORD}, headers=session)
    assert (again.status, (await again.json())["type"]) == (401, "/problems/session-ended")
