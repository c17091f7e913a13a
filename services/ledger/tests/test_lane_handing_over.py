"""One port, two servers: what is not the fast lane's goes to aiohttp's, at its turn and whole."""

from __future__ import annotations

import asyncio

import pytest
from common.http.app import READINESS

from services.ledger.tests.at_the_lane import POST, Wire, balance, beside, body, desk, plain, wire
from services.ledger.tests.shop import Desk

__all__ = ["desk", "plain", "wire"]


async def test_one_connection_posts_and_reads_and_posts(wire: Wire) -> None:
    for amount in ("1.00", "2.00"):
        await wire.send(wire.request(body("1.00")))
        assert (await wire.answer())[0] == 201
        await wire.send(wire.reading())
        status, told = await wire.answer()
        assert (status, told["balance"]) == (200, amount)


async def test_what_is_not_the_lanes_waits_for_the_answers_before_it(wire: Wire) -> None:
    whole = b"".join(wire.request(body("1.00")) for _ in range(30)) + wire.reading()
    await wire.send(whole + wire.request(body("1.00"), more="Connection: close\r\n"))
    assert [(await wire.answer())[0] for _ in range(30)] == [201] * 30
    assert (await wire.answer())[1]["balance"] == "30.00"
    assert (await wire.answer())[0] == 201
    assert await wire.ended()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1_000])
async def test_wherever_it_is_cut_it_is_read_the_same(wire: Wire, size: int) -> None:
    whole = (
        wire.request(body("1.00")) + wire.request(body("2.00")) + wire.reading() + wire.request(body("4.00"))
    )
    for first in range(0, len(whole), size):
        wire.writer.write(whole[first : first + size])
        await asyncio.sleep(0)
    assert [(await wire.answer())[0] for _ in range(2)] == [201, 201]
    assert (await wire.answer())[1]["balance"] == "3.00"
    assert (await wire.answer())[0] == 201
    assert await balance(wire.desk) == "7.00"


async def test_what_is_sent_ahead_in_one_piece_with_the_end_of_chunks_is_left_unread(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can tell how much of it was done: none of it."""
    sent = body("1.00")
    chunked = wire.request(b"", more="Transfer-Encoding: chunked\r\n", length=False)
    chunked += b"%x\r\n%s\r\n0\r\n\r\n" % (len(sent), sent)
    await wire.send(chunked + wire.reading() + wire.request(body("4.00")))
    assert (await wire.answer())[0] == 201
    wire.writer.write_eof()
    assert await wire.ended()
    assert not caplog.records, "the connection ends, it does not break"
    assert await balance(wire.desk) == "1.00"


async def test_a_request_with_a_query_or_of_an_older_kind_is_aiohttps(wire: Wire) -> None:
    old = wire.request(body()).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    await wire.send(old)
    assert (await wire.answer())[0] == 201
    assert await wire.ended()


async def test_a_body_of_whatever_was_handed_over_arrives(wire: Wire) -> None:
    """Longer than one piece, so that it goes on arriving after the connection was handed over."""
    sent = b'{"x":"' + b"a" * 300_000 + b'"}'
    await wire.send(wire.request(sent, path=f"{POST}?a=1"))
    status, told = await wire.answer()
    assert status in (400, 422)
    assert told["type"].startswith("/problems/")


async def test_draining_answers_who_was_handed_over(plain: Desk) -> None:
    app = plain.door.client.app
    assert app is not None
    async with beside(plain) as port:
        wire = Wire(*(await asyncio.open_connection("127.0.0.1", port)), plain)
        await wire.send(wire.reading())
        assert (await wire.answer())[0] in (200, 404)
        app[READINESS].draining = True
    await wire.send(wire.request(body()))
    assert (await wire.answer())[0] == 201, "the server it was handed to ends after the port"
    assert await wire.ended()
