"""The fast lane and aiohttp's server: the same requests, the same answers; what only a transport gets wrong."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from aiohttp import web
from common.http import lane as lanes
from common.http.app import READINESS
from common.http.lane import connection as lane_connection
from common.signing import RequestSigner
from yarl import URL

from services.ledger.tests.at_the_lane import (
    ANA,
    BATCH,
    POST,
    TwoDoors,
    Wire,
    balance,
    beside,
    body,
    desk,
    plain,
    wire,
)
from services.ledger.tests.door import Json
from services.ledger.tests.shop import CASH, Desk, slug, transfer_body
from services.ledger.tests.test_batches import (  # collected here once more: at the lane, by the `desk` above
    test_a_key_in_another_group_is_another_request,
    test_a_thousand_entries_in_one_request,
    test_linked_entries_happen_all_or_none,
)
from services.ledger.tests.vocabulary import PRINCIPAL, a_key

__all__ = [
    "desk",
    "plain",
    "test_a_key_in_another_group_is_another_request",
    "test_a_thousand_entries_in_one_request",
    "test_linked_entries_happen_all_or_none",
    "wire",
]

# The same at both doors.

JSON_TYPE = {"Content-Type": "application/json"}
CASES: dict[str, tuple[str, str, dict[str, str], bytes]] = {
    "a post": ("POST", POST, JSON_TYPE, body()),
    "a batch": ("POST", BATCH, JSON_TYPE, b'{"groups":[]}'),
    "a batch without a key": ("POST", BATCH, {**JSON_TYPE, "Idempotency-Key": ""}, b'{"groups":[[]]}'),
    "a charset": ("POST", POST, {"Content-Type": "application/json; charset=utf-8"}, body()),
    "no type": ("POST", POST, {"Content-Type": "text/plain"}, body()),
    "no key": ("POST", POST, {**JSON_TYPE, "Idempotency-Key": ""}, body()),
    "a key too long": ("POST", POST, {**JSON_TYPE, "Idempotency-Key": "k" * 256}, body()),
    "no caller": ("POST", POST, {**JSON_TYPE, "Authorization": ""}, body()),
    "an unknown caller": ("POST", POST, {**JSON_TYPE, "Authorization": "Bearer lk_live_nobody"}, body()),
    "an unknown caller with too much": (
        "POST",
        POST,
        {**JSON_TYPE, "Authorization": "Bearer x"},
        b" " * 2_000_000,
    ),
    "too much": ("POST", POST, JSON_TYPE, b" " * 2_000_000),
    "nothing": ("POST", POST, JSON_TYPE, b""),
    "no JSON": ("POST", POST, JSON_TYPE, b"{"),
    "a float": ("POST", POST, JSON_TYPE, body().replace(b'"1.00"', b"1.00")),
    "a member twice": ("POST", POST, JSON_TYPE, b'{"kind":"transfer",' + body()[1:]),
    "a member too many": ("POST", POST, JSON_TYPE, body(more=1)),
    "zero": ("POST", POST, JSON_TYPE, body("0.00")),
    "an unknown kind": ("POST", POST, JSON_TYPE, body(kind="nothing")),
    "an unknown account": ("POST", POST, JSON_TYPE, body().replace(b"ana", b"ANA")),
    "not UTF-8": ("POST", POST, JSON_TYPE, b"\xff"),
    "a query": ("POST", f"{POST}?a=1", JSON_TYPE, body()),
    "another method": ("DELETE", BATCH, {}, b""),
    "a request id": ("POST", POST, {**JSON_TYPE, "X-Request-Id": "mine"}, body()),
    "a request id that is none": ("POST", POST, {**JSON_TYPE, "X-Request-Id": "a b"}, body()),
    "health": ("GET", "/healthz", {}, b""),
}
OWN = {
    "id",
    "sequence",
    "posted_at",
    "effective_at",
    "request_id",
    "balance",
    "account_sequence",
    "idempotency_key",
}
TOLD = ("Content-Type", "Retry-After", "WWW-Authenticate", "Idempotent-Replayed", "RateLimit-Policy")


def alike(value: Any) -> Any:
    """Without what is each answer's own."""
    if isinstance(value, dict):
        return {name: "…" if name in OWN else alike(member) for name, member in value.items()}
    return [alike(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES)
async def test_both_doors_answer_alike(desk: Desk, plain: Desk, case: str) -> None:
    method, path, headers, sent = CASES[case]
    two = cast(TwoDoors, desk.door.client)
    answers = []
    for url in (plain.door.client.make_url(path), two.lane.join(URL(path))):
        whole = {"Authorization": f"Bearer {desk.secret}", "Idempotency-Key": a_key(), **headers}
        for _ in range(2):  # the second time it is a repetition
            async with plain.door.client.session.request(method, url, data=sent, headers=whole) as answer:
                text = await answer.read()
                told = json.loads(text) if answer.content_type.endswith("json") else text
                answers.append(
                    (answer.status, {name: answer.headers.get(name) for name in TOLD}, alike(told))
                )
                assert answer.headers["X-Request-Id"]
                if headers.get("X-Request-Id") == "mine":
                    assert answer.headers["X-Request-Id"] == "mine"
    assert answers[:2] == answers[2:]


async def test_one_key_at_both_doors_is_one_entry(desk: Desk, plain: Desk) -> None:
    first = await desk.post(POST, transfer_body(CASH, ANA, "1.00"), "once")
    second = await plain.post(POST, transfer_body(CASH, ANA, "1.00"), "once")
    assert (first[0], second[0], first[1]["id"]) == (201, 201, second[1]["id"])
    assert second[1]["headers"]["Idempotent-Replayed"] == "true"
    told = [(await each.post(POST, transfer_body(CASH, ANA, "2.00"), "once"))[1] for each in (desk, plain)]
    assert slug(told[0]) == slug(told[1])
    assert told[0]["status"] in (409, 422)
    assert await balance(desk) == "1.00"


async def test_white_space_around_a_key_is_no_part_of_it_at_either_door(
    desk: Desk, plain: Desk, wire: Wire
) -> None:
    """One request, sent again by another way since no answer came: aiohttp and every proxy leave it out."""
    request = wire.request(body(), key="once  ", more="Connection: close\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", plain.door.client.port)
    other = Wire(reader, writer, desk)
    for each in (wire, other):
        await each.send(request)
    (status, first), (again, second) = await wire.answer(), await other.answer()
    writer.close()
    assert (status, again, first["id"]) == (201, 201, second["id"])
    assert await balance(desk) == "1.00"


async def test_limits_scopes_and_signatures_hold_at_the_lane(desk: Desk) -> None:
    ledger, wanted = f"shop-{desk.ledger}", transfer_body(CASH, ANA, "1.00")
    door = desk.door

    async def ask(secret: str, **headers: str) -> tuple[int, Json]:
        return await door.ask(secret, "POST", POST, wanted, **{"Idempotency-Key": a_key(), **headers})

    reader = await door.key(PRINCIPAL, ledger=ledger, scopes=["read"])
    assert (await ask(reader.secret))[0] == 403
    few = await door.key(PRINCIPAL, ledger=ledger, per_day=2)
    assert [(await ask(few.secret))[0] for _ in range(3)] == [201, 201, 429]
    slow = await door.key(PRINCIPAL, ledger=ledger, rate=(1, 1))
    answers = [await ask(slow.secret) for _ in range(2)]
    assert [status for status, _ in answers] == [201, 429]
    assert answers[1][1]["headers"]["Retry-After"]
    assert "RateLimit" in answers[0][1]["headers"]
    signing = await door.key(PRINCIPAL, ledger=ledger, signed=True)
    assert signing.signing
    assert (await ask(signing.secret))[0] == 401
    sent, key = json.dumps(wanted).encode(), a_key()
    headers = RequestSigner(signing.signing).headers(
        "POST", URL(f"http://x{POST}"), {"Idempotency-Key": key}, sent
    )
    two = cast(TwoDoors, door.client)
    whole = {"Authorization": f"Bearer {signing.secret}", "Idempotency-Key": key, **JSON_TYPE, **headers}
    told = []
    for content in (sent.replace(b"1.00", b"9.00"), sent, sent):
        async with two.request("POST", POST, data=content, headers=whole) as answer:
            told.append(answer.status)
    assert told == [401, 201, 401], "changed on its way; as signed; overheard and sent again"


# What only a transport can get wrong.


async def test_requests_sent_ahead_are_answered_in_order(wire: Wire) -> None:
    keys = [a_key() for _ in range(40)]
    await wire.send(b"".join(wire.request(body(f"{n + 1}.00"), key=key) for n, key in enumerate(keys)))
    answers = [await wire.answer() for _ in keys]
    assert [status for status, _ in answers] == [201] * len(keys)
    assert [told["postings"][0]["amount"] for _, told in answers] == [f"{n + 1}.00" for n in range(len(keys))]
    assert [told["sequence"] for _, told in answers] == sorted(told["sequence"] for _, told in answers)


async def test_a_request_in_single_bytes(wire: Wire) -> None:
    for byte in wire.request(body(), more="Connection: close\r\n"):
        await wire.send(bytes((byte,)))
    assert (await wire.answer())[0] == 201
    assert await wire.ended()


async def test_chunks(wire: Wire) -> None:
    sent = body()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (sent[:7], sent[7:])) + b"0\r\n\r\n"
    await wire.send(wire.request(b"", more="Transfer-Encoding: chunked\r\n", length=False) + chunks)
    assert (await wire.answer())[0] == 201
    await wire.send(wire.request(body()))
    assert (await wire.answer())[0] == 201, "the connection serves on"


async def test_chunks_without_end_are_cut_off(wire: Wire) -> None:
    await wire.send(wire.request(b"", more="Transfer-Encoding: chunked\r\n", length=False))
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for _ in range(20):
        await wire.send(chunk)
    status, told = await wire.answer()
    assert (status, slug(told)) == (413, "payload-too-large")
    wire.writer.write_eof()
    assert await wire.ended()


SMUGGLED: dict[str, tuple[str, int]] = {
    "two lengths that differ": ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    "two lengths that agree": ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
    "a length and chunks": ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunks and a length": ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
    "another coding": ("Transfer-Encoding: gzip, chunked\r\n", 501),
    "two codings": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400),
    "a coding in disguise": ("Transfer-Encoding: xchunked\r\n", 501),
    "a length with a sign": ("Content-Length: +5\r\n", 400),
    "a length below zero": ("Content-Length: -5\r\n", 400),
    "a length beyond all numbers": (f"Content-Length: {'9' * 40}\r\n", 400),
    "a blank before the colon": ("Content-Length : 5\r\n", 400),
    "a folded line": ("X-A: 1\r\n 2\r\n", 400),
    "a bare line feed": ("X-A: 1\nX-B: 2\r\n", 400),
    "a NUL": ("X-A: \0\r\n", 400),
    "another caller": ("Authorization: Bearer other\r\n", 400),
    "packed": ("Content-Encoding: gzip\r\nContent-Length: 5\r\n", 415),
    "another expectation": ("Expect: more\r\nContent-Length: 5\r\n", 417),
}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_a_request_of_doubtful_length_is_refused_and_nothing_after_it_is_read(
    wire: Wire, name: str
) -> None:
    more, expected = SMUGGLED[name]
    hidden = wire.request(body())
    await wire.send(wire.request(b"", more=more, length=False) + b"0\r\n\r\n" + hidden + hidden)
    status, told = await wire.answer()
    assert (status, told["status"]) == (expected, expected)
    assert told["detail"]
    wire.writer.write_eof()
    assert await wire.ended(), "the rest is not taken for a request"
    assert await balance(wire.desk) == "none"


@pytest.mark.parametrize(
    "head",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /v1/entries HTTP/9.9\r\n\r\n",
        b"POST /v1/entries HTTP/1.1\r\nnonsense\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(wire: Wire, head: bytes) -> None:
    await wire.send(head)
    async with asyncio.timeout(15):
        assert (await wire.reader.readline()).split()[1] == b"400"
        wire.writer.write_eof()
        assert b" 200 " not in await wire.reader.read(), "the rest is not taken for a request"


@pytest.mark.parametrize("head", [b"X-A: " + b"a" * 40_000, b"".join(b"X-%d: 1\r\n" % n for n in range(100))])
async def test_headers_are_bounded(wire: Wire, head: bytes) -> None:
    await wire.send(wire.request(b"", length=False)[:-2] + head + b"\r\n\r\n")
    assert (await wire.answer())[0] == 431
    wire.writer.write_eof()
    assert await wire.ended()


async def test_a_caller_that_waits_to_be_told_is_told(wire: Wire) -> None:
    sent = body()
    whole = wire.request(sent, more="Expect: 100-continue\r\n")
    await wire.send(whole[: -len(sent)])
    assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await wire.send(sent)
    assert (await wire.answer())[0] == 201


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODY_TIMEOUT_SECONDS", "1")


@pytest.mark.usefixtures("_impatient")
async def test_a_slow_head_and_a_slow_body_are_given_up(desk: Desk) -> None:
    port = cast(TwoDoors, desk.door.client).lane.port
    async with AsyncExitStack() as opened:
        slow = []
        for part in (b"POST /v1/en", b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nX-A: ", None):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.callback(writer.close)
            one = Wire(reader, writer, desk)
            await one.send(part or one.request(body())[:-5])
            slow.append(one)
        quick = await desk.post(POST, transfer_body(CASH, ANA, "1.00"))
        assert quick[0] == 201, "nobody else waits for them"
        answers = [await one.answer() for one in slow]
        assert [status for status, _ in answers] == [408, 408, 408]
        assert answers[2][1]["field"] == "body"
    assert await balance(desk) == "1.00"


@pytest.mark.usefixtures("_impatient")
async def test_drop_by_drop_does_not_hold_a_head_open(wire: Wire) -> None:
    async def drip() -> None:
        for letter in b"POST /v1/entries HTTP/1.1\r\n" + b"X-Drop: 1\r\n" * 1_000:
            await wire.send(bytes((letter,)))
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    assert (await wire.answer())[0] == 408
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)


async def test_who_hangs_up_in_mid_request_has_posted_nothing(wire: Wire) -> None:
    await wire.send(wire.request(body())[:-1])
    wire.writer.transport.abort()
    await asyncio.sleep(0.1)
    assert await balance(wire.desk) == "none"


async def test_connections_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_connection, "MAX_CONNECTIONS", 2)
    port = cast(TwoDoors, desk.door.client).lane.port
    wires = [Wire(*(await asyncio.open_connection("127.0.0.1", port)), desk) for _ in range(3)]
    assert await wires[2].ended()
    await wires[1].send(wires[1].request(body()))
    assert (await wires[1].answer())[0] == 201
    for one in wires:
        one.writer.close()


async def test_draining_answers_what_is_in_flight(plain: Desk) -> None:
    app = plain.door.client.app
    assert app is not None
    async with beside(plain) as port:
        idle, busy = [Wire(*(await asyncio.open_connection("127.0.0.1", port)), plain) for _ in range(2)]
        sent = busy.request(body())
        await busy.send(sent[:-1])
        app[READINESS].draining = True
        await asyncio.sleep(0.05)
        finishing = asyncio.create_task(busy.send(sent[-1:]))
        status, _ = await busy.answer()
        await finishing
        assert status == 201
        assert await busy.ended(), "the last answer says goodbye"
    assert await idle.ended()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_route_that_does_not_exist_is_told_at_once(plain: Desk) -> None:
    app = plain.door.client.app
    assert app is not None
    with pytest.raises(LookupError):
        lanes.Lane(app, [("POST", "/v1/nothing")], cast(web.Server, None))
