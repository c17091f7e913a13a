"""The example as its team would run it: with its own login, on the real broker, killed in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from common.amqp import Link, Message, Publisher
from common.amqp.deadletters import DeadLetters
from common.amqp.declare import declare_exchange, declare_listening_queue
from common.amqp.names import RETRY_DELAYS_SECONDS, dead_queue, retry_queue
from common.testing import stack
from contracts import topology
from contracts.betting import MarketSettled, MarketVoided
from contracts.envelope import Envelope, envelope

from examples.results_board.__main__ import QUEUE
from examples.results_board.board import Board, UnknownEvent

NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)


def settled(market: UUID, version: int, total: str) -> Envelope:
    event = MarketSettled(
        market_id=market, settlement_version=1, total=total, commission="0.00", currency="MXN", settled_at=NOW
    )
    return envelope(event, id=uuid4(), subject=f"markets/{market}", version=version, time=NOW)


def voided(market: UUID, version: int) -> Envelope:
    event = MarketVoided(market_id=market, reason="horse lame", total="80.00", currency="MXN", voided_at=NOW)
    return envelope(event, id=uuid4(), subject=f"markets/{market}", version=version, time=NOW)


def test_an_event_that_comes_twice_or_late_changes_nothing(tmp_path: Path) -> None:
    board, market = Board(tmp_path / "board"), uuid4()
    second = voided(market, 7)
    assert board.apply(second)
    assert not board.apply(second)
    assert not board.apply(settled(market, 3, "100.00"))
    assert board.shown() == {str(market): ("void: horse lame", "80.00 MXN")}


def test_what_nobody_asked_for_leaves_no_trace(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    stranger = settled(uuid4(), 1, "1.00").model_copy(update={"type": "betting.market.opened.v1"})
    with pytest.raises(UnknownEvent):
        board.apply(stranger)
    assert board.shown() == {}


@asynccontextmanager
async def telling() -> AsyncIterator[Publisher]:
    """Events as betting's relay publishes them."""
    link = Link(stack().rabbitmq.url("relay-betting"), name="board-test")
    publisher = Publisher(link)
    yield publisher
    await publisher.close()
    await link.close()


def on_the_wire(event: Envelope) -> Message:
    return Message(event.id, topology.EVENTS, event.type, event.model_dump_json().encode())


async def start(board: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples.results_board", "listen", "--board", str(board),
        env=os.environ | {"AMQP_URL": stack().rabbitmq.url(topology.RESULTS_BOARD)}, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def shows(board: Path, wanted: dict[str, tuple[str, str]]) -> None:
    """Wait until the board shows that, whatever else."""
    async with asyncio.timeout(20):
        while not wanted.items() <= Board(board).shown().items():
            await asyncio.sleep(0.05)


async def test_it_listens_survives_a_kill_and_puts_away_what_it_cannot_read(tmp_path: Path) -> None:
    path, first, second = tmp_path / "board.sqlite", uuid4(), uuid4()
    nonsense = settled(uuid4(), 1, "1.00")
    broken = nonsense.model_copy(update={"data": {**nonsense.data, "total": 1.5}})
    async with telling() as publisher:
        process = await start(path)
        once = on_the_wire(settled(first, 5, "100.00"))
        for message in (once, once, on_the_wire(broken)):
            await publisher.publish(message)
        await shows(path, {str(first): ("dead heat", "100.00 MXN")})
        process.kill()
        await process.wait()
        late = settled(second, 3, "60.00")
        for message in (once, on_the_wire(voided(second, 7)), on_the_wire(late)):
            await publisher.publish(message)
        process = await start(path)
        await shows(path, {str(second): ("void: horse lame", "80.00 MXN")})
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    link = Link(stack().rabbitmq.url(topology.RESULTS_BOARD), name="board-test")
    dead = [letter for letter in await DeadLetters(link, QUEUE).listed(1_000) if letter.id == str(broken.id)]
    await link.close()
    # Twice if the kill fell between putting it away and saying so: it is delivered again, and put away again.
    assert 1 <= len(dead) <= 2
    assert all("ValidationError" in letter.reason for letter in dead)
    assert Board(path).shown()[str(first)] == ("dead heat", "100.00 MXN")


async def test_its_login_publishes_no_event_and_reads_no_other_queue() -> None:
    link = Link(stack().rabbitmq.url(topology.RESULTS_BOARD), name="board-test")
    publisher = Publisher(link)
    (refused,) = await publisher.publish_all([on_the_wire(settled(uuid4(), 1, "1.00"))])
    assert "ACCESS_REFUSED" in str(refused)
    channel = await link.channel(confirms=False)
    other = await channel.get_queue("payments.ledger-events", ensure=False)
    with pytest.raises(Exception, match="ACCESS_REFUSED"):
        await other.get(fail=False)
    await link.close()


async def test_its_queue_can_fill_up_and_hold_up_nobody() -> None:
    """A ring drops its oldest message in place of refusing the newest."""
    link = Link(stack().rabbitmq.url("topology"), name="board-test")
    channel = await link.channel(confirms=False)
    name = f"test.{uuid4().hex[:8]}"
    await declare_exchange(channel, f"{name}.exchange")
    queue = await declare_listening_queue(channel, name, [(f"{name}.exchange", "it")], limit=5)
    publisher = Publisher(link)
    answers = await publisher.publish_all(
        [Message(uuid4(), f"{name}.exchange", "it", str(number).encode()) for number in range(50)]
    )
    assert answers == [None] * 50
    kept = [await queue.get(no_ack=True, fail=True) for _ in range(5)]
    assert [message.body for message in kept] == [b"45", b"46", b"47", b"48", b"49"]
    await publisher.close()
    for each in (name, dead_queue(name), *(retry_queue(name, delay) for delay in RETRY_DELAYS_SECONDS)):
        await channel.queue_delete(each)
    await channel.exchange_delete(f"{name}.exchange")
    await link.close()
