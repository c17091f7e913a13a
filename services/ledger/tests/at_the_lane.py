"""The ledger's application at a port with the fast lane, and connections to it byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from common.http import lane as lanes
from ledger.app import FAST_LANE
from yarl import URL

from services.ledger.tests.door import Client, Json
from services.ledger.tests.shop import CASH, Desk, transfer_body
from services.ledger.tests.vocabulary import a_key

POST, BATCH = "/v1/entries", "/v1/entries/batch"
ANA = "liabilities/ana"


class TwoDoors:
    """A client that asks at the port with the lane."""

    def __init__(self, client: Client, port: int) -> None:
        self._client = client
        self.lane = URL(f"http://127.0.0.1:{port}")

    def request(self, method: str, path: str, **rest: Any) -> Any:
        return self._client.session.request(method, self.lane.join(URL(path)), **rest)


@pytest.fixture
async def plain(desk: Desk) -> Desk:
    """The desk as every other test has it."""
    return replace(desk, door=replace(desk.door, client=desk.door.client._client))  # type: ignore[attr-defined] # TwoDoors


@pytest.fixture
async def desk(desk: Desk) -> AsyncIterator[Desk]:
    async with beside(desk) as port:
        two = TwoDoors(desk.door.client, port)
        yield replace(desk, door=replace(desk.door, client=cast(Client, two)))


@asynccontextmanager
async def beside(desk: Desk) -> AsyncIterator[int]:
    """A port with a lane for the desk's application, whose server takes what is not the lane's."""
    app, runner = desk.door.client.app, desk.door.client.server.runner
    assert app is not None
    assert runner is not None
    assert runner.server is not None
    async with lanes.lane(
        app, FAST_LANE, runner.server, host="127.0.0.1", port=0, shutdown_seconds=5
    ) as port:
        yield port


@dataclass
class Wire:
    """A connection to the port with the lane, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    desk: Desk

    def request(
        self, body: bytes, path: str = POST, key: str | None = None, more: str = "", *, length: bool = True
    ) -> bytes:
        sized = f"Content-Length: {len(body)}\r\n" if length else ""
        return (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.desk.secret}\r\n"
            f"Idempotency-Key: {key or a_key()}\r\nContent-Type: application/json\r\n{sized}{more}\r\n"
        ).encode() + body

    def reading(self, more: str = "") -> bytes:
        """A request that is not the lane's."""
        return (
            f"GET /v1/account?account={ANA}&currency=USD HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {self.desk.secret}\r\n{more}\r\n"
        ).encode()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, Json]:
        """The next answer: its status and its body."""
        async with asyncio.timeout(15):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status = int(head.split()[1])
            length = next(
                int(line.split(":")[1])
                for line in head.lower().split("\r\n")
                if line.startswith("content-length")
            )
            body = await self.reader.readexactly(length)
        return status, json.loads(body) if body else {}

    async def ended(self) -> bool:
        """Whether the lane hangs up."""
        async with asyncio.timeout(15):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


@pytest.fixture
async def wire(desk: Desk) -> AsyncIterator[Wire]:
    port = cast(TwoDoors, desk.door.client).lane.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Wire(reader, writer, desk)
    writer.close()


def body(amount: str = "1.00", **more: object) -> bytes:
    return json.dumps({**transfer_body(CASH, ANA, amount), **more}).encode()


async def balance(desk: Desk) -> str:
    status, told = await desk.get("/v1/account", account=ANA, currency="USD")
    return str(told["balance"]) if status == 200 else "none"
