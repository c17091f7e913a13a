"""Clients that send or read slowly occupy themselves alone: whoever comes whole is served."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from gateway.domain import Service
from gateway.routes import ROUTES

from services.gateway.tests.conftest import Behind, Client, MakeGateway
from services.gateway.tests.people import PASSWORD, bettor, papers

SLOW_BODY = "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
LONG_ANSWER_BYTES = 16 * 1024 * 1024
READ_SECONDS = 1.0


@asynccontextmanager
async def connections(gateway: Client, number: int, request: str) -> AsyncIterator[None]:
    """So many clients that send this, and then neither send nor read."""
    made = []
    for _ in range(number):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (gateway.server.host, gateway.server.port))
        await asyncio.get_running_loop().sock_sendall(client, request.encode())
        made.append(client)
    try:
        yield
    finally:
        for client in made:
            client.close()


async def test_who_sends_a_body_slowly_takes_nobodys_place(make_gateway: MakeGateway) -> None:
    """Anybody may send a webhook, and it has the places of money: a few slow ones closed the door to everybody."""
    async with make_gateway(requests_in_hand=10, body_timeout_seconds=30) as gateway:
        session = await bettor(gateway)
        slow = f"POST /v1/webhooks/cards HTTP/1.1\r\nHost: x\r\n{SLOW_BODY}"
        async with connections(gateway, 40, slow):
            await asyncio.sleep(0.3)
            assert (await gateway.get("/v1/wallet", headers=session)).status == 200
            assert (await gateway.get("/v1/events", headers=session)).status == 200
            proof = {"email": papers()["email"], "password": PASSWORD}
            assert (await gateway.post("/v1/login", json=proof)).status == 200


async def test_who_is_slow_with_a_session_takes_nobodys_place_either(make_gateway: MakeGateway) -> None:
    async with make_gateway(requests_in_hand=10, body_timeout_seconds=30) as gateway:
        session, other = [await bettor(gateway, number) for number in range(2)]
        head = f"POST /v1/deposits HTTP/1.1\r\nHost: x\r\nAuthorization: {session['Authorization']}\r\n"
        async with connections(gateway, 20, head + SLOW_BODY):
            await asyncio.sleep(0.3)
            assert (await gateway.get("/v1/wallet", headers=other)).status == 200


async def test_those_who_are_slow_are_bounded_too(make_gateway: MakeGateway) -> None:
    """By address, and all together; who is beyond that is told so at once."""
    async with make_gateway(bodies_waited_for=8, body_timeout_seconds=30) as gateway:
        request = f"POST /v1/webhooks/cards HTTP/1.1\r\nHost: x\r\n{SLOW_BODY}"
        async with connections(gateway, 2, request):
            await asyncio.sleep(0.3)
            reader, writer = await asyncio.open_connection(gateway.server.host, gateway.server.port)
            writer.write(request.encode())
            async with asyncio.timeout(5):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1" in head
            whole = await gateway.post("/v1/webhooks/cards", json={})
            assert whole.status != 503


async def test_a_session_that_ends_while_its_body_is_waited_for_does_nothing_more(
    gateway: Client, behind: Behind
) -> None:
    session = await bettor(gateway)
    reader, writer = await asyncio.open_connection(gateway.server.host, gateway.server.port)
    head = f"POST /v1/deposits HTTP/1.1\r\nHost: x\r\nAuthorization: {session['Authorization']}\r\n"
    writer.write((head + SLOW_BODY).encode())
    await asyncio.sleep(0.3)
    assert (await gateway.post("/v1/logout", headers=session)).status == 204
    writer.write(b'"a": 1}\n')
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert not behind.upstreams[Service.PAYMENTS].requests


async def test_who_does_not_read_an_answer_is_let_go(make_gateway: MakeGateway, behind: Behind) -> None:
    """Each held a place at the service for ever; as many as there are places, and nobody reached it any more."""
    impatient = [replace(row, timeout_seconds=READ_SECONDS) for row in ROUTES]
    async with make_gateway(impatient, upstream_places=2) as gateway:
        session = await bettor(gateway)
        behind.upstreams[Service.LEDGER].long_answer_bytes = LONG_ANSWER_BYTES
        request = f"GET /v1/wallet HTTP/1.1\r\nHost: x\r\nAuthorization: {session['Authorization']}\r\n\r\n"
        async with connections(gateway, 2, request):
            await asyncio.sleep(3 * READ_SECONDS)
            behind.upstreams[Service.LEDGER].long_answer_bytes = 0
            assert (await gateway.get("/v1/wallet", headers=session)).status == 200
