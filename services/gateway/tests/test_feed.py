"""The live feed on a real broker: quiet or not, one subscription lasts, and what is told comes in order."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from common.amqp import Link, Message, Publisher
from common.testing import stack
from contracts import betting
from contracts.envelope import Envelope, envelope
from contracts.topology import EVENTS
from gateway.live import feed
from gateway.live.feed import Feed

MARKET, OTHER = uuid4(), uuid4()


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.forgotten = self.mended = 0

    def concerns(self, body: bytes) -> bool:
        return str(MARKET).encode() in body

    async def take(self, envelope: Envelope) -> None:
        if envelope.sequence == 13:
            raise RuntimeError("one that cannot be taken in")
        self.sequences.append(envelope.sequence)

    async def forget(self) -> None:
        self.forgotten += 1

    async def mend(self) -> None:
        self.mended += 1


async def tell(market: UUID, *sequences: int) -> None:
    """As betting's relay tells it."""
    link = Link(stack().rabbitmq.url("relay-betting"), name="test")
    publisher = Publisher(link)
    for sequence in sequences:
        now = datetime.now(UTC)
        event = betting.MarketSuspended(market_id=market, reason="protest", suspended_at=now)
        told = envelope(event, id=uuid4(), subject=f"markets/{market}", version=sequence, time=now)
        await publisher.publish(Message(told.id, EVENTS, told.type, told.model_dump_json().encode()))
    await publisher.close()
    await link.close()


async def listening(live: Feed) -> None:
    async with asyncio.timeout(10):
        while not live.began:
            await asyncio.sleep(0.02)


async def test_silence_does_not_end_the_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody bets for a while. It used to begin anew after every silence, and everybody got a fresh image."""
    monkeypatch.setattr(feed, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(feed, "MEND_SECONDS", 0.1)
    told = Told()
    link = Link(stack().rabbitmq.url("gateway"), name="test")
    live = Feed(link, told)
    async with live.running():
        await listening(live)
        async with asyncio.timeout(20):
            while told.mended < 3:
                await asyncio.sleep(0.05)
        await tell(MARKET, 11, 12, 13, 14)
        await tell(OTHER, 15)
        await tell(MARKET, 16)
        async with asyncio.timeout(10):
            while told.sequences[-1:] != [16]:
                await asyncio.sleep(0.02)
        assert told.sequences == [11, 12, 14, 16]
        assert (live.began, told.forgotten) == (1, 1)
        await live.check()
    await link.close()


async def test_what_could_not_be_done_is_tried_again_on_a_busy_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is always some event: whoever waits for a silence waits until the last race is over."""
    monkeypatch.setattr(feed, "MEND_SECONDS", 0.1)
    told = Told()
    link = Link(stack().rabbitmq.url("gateway"), name="test")
    live = Feed(link, told)
    async with live.running():
        await listening(live)
        async with asyncio.timeout(4):  # less than a silence
            while told.mended < 2:
                await tell(OTHER, 1)
    await link.close()


async def test_who_is_hopelessly_late_says_that_something_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LIMIT", 2)
    told = Told()
    link = Link(stack().rabbitmq.url("gateway"), name="test")
    live = Feed(link, told)
    held = asyncio.Event()

    async def take(envelope: Envelope) -> None:
        told.sequences.append(envelope.sequence)
        await held.wait()

    monkeypatch.setattr(told, "take", take)
    async with live.running():
        await listening(live)
        async with asyncio.timeout(20):
            while told.forgotten < 2:
                held.clear()
                await tell(MARKET, 1, 2, 3, 4, 5, 6)
                held.set()
                await asyncio.sleep(0.05)
    await link.close()


async def test_a_lost_connection_is_begun_again_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BACKOFF_SECONDS", 0.1)
    told = Told()
    link = Link(stack().rabbitmq.url("gateway"), name="test")
    live = Feed(link, told)
    async with live.running():
        await listening(live)
        await link.close()
        async with asyncio.timeout(20):
            while live.began < 2:
                await asyncio.sleep(0.02)
        await tell(MARKET, 17)
        async with asyncio.timeout(10):
            while told.sequences != [17]:
                await asyncio.sleep(0.02)
        assert told.forgotten == 2
    await link.close()
