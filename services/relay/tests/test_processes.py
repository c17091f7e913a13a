"""Relays as processes: two of them, killed, frozen, stopped."""

from __future__ import annotations

import asyncio
import random
import re
import signal

import aiohttp

from libs.common.tests.amqp.proxy import Proxy
from services.relay.tests.outbox import Listener, MakeRelay, Outbox, RelayProcess, eventually

LANES, BATCH = 4, 200
FENCE_SECONDS = 10


async def write(outbox: Outbox, *, markets: int, upto: int, pause_seconds: float = 0.0) -> int:
    """Announce versions 1 to `upto` of so many markets, a few at a time. Returns how many that is."""
    for start in range(1, upto + 1, 10):
        for market in range(markets):
            await outbox.announce(f"markets/{market}", range(start, min(start + 10, upto + 1)))
        await asyncio.sleep(pause_seconds)
    return markets * upto


async def scraped(relay: RelayProcess) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url}/metrics") as answer:
        return {
            name: float(value)
            for name, value in re.findall(r"^(relay_\S+) (\S+)$", await answer.text(), re.MULTILINE)
        }


async def test_two_relays_share_the_shards(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    relays = [start_relay(), start_relay()]
    for relay in relays:
        await relay.start()
        await relay.ready()
    written = await write(outbox, markets=30, upto=100, pause_seconds=0.1)
    await outbox.emptied()
    await listener.heard_all(written)
    listener.assert_in_order()
    assert len(listener.heard) == written, "without a crash nothing is sent twice"
    for relay in relays:
        assert (await scraped(relay))["relay_published_total"] > 0


async def test_a_killed_relay_loses_nothing_and_reorders_nothing(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    relay = start_relay()
    kills = 5
    await relay.start()
    writing = asyncio.create_task(write(outbox, markets=40, upto=120))
    for kill in range(1, kills + 1):
        await listener.heard_all(kill * 700)
        await asyncio.sleep(random.uniform(0, 0.02))
        await relay.kill()
        await relay.start()
    written = await writing
    await outbox.emptied()
    await listener.heard_all(written)
    listener.assert_in_order()
    assert len(listener.heard) - written <= kills * LANES * BATCH


async def test_a_link_that_breaks_and_stalls_loses_nothing_and_reorders_nothing(
    outbox: Outbox, listener: Listener, proxy: Proxy, start_relay: MakeRelay
) -> None:
    relay = start_relay(proxy)
    await relay.start()
    writing = asyncio.create_task(write(outbox, markets=30, upto=120))
    for breaks in range(1, 4):
        await listener.heard_all(breaks * 500)
        proxy.stall()
        await asyncio.sleep(0.2)
        proxy.cut()
        proxy.flow()
    written = await writing
    await outbox.emptied()
    await listener.heard_all(written)
    listener.assert_in_order()


async def test_a_frozen_relay_loses_its_shards_to_another(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    frozen, other = start_relay(), start_relay()
    await outbox.announce("markets/0", range(1, 5_001))
    await frozen.start()
    await listener.heard_all(400)
    frozen.signal(signal.SIGSTOP)
    while await outbox.free_shards() == 16:  # it was between two batches
        frozen.signal(signal.SIGCONT)
        await asyncio.sleep(random.uniform(0, 0.01))
        frozen.signal(signal.SIGSTOP)
    left = await outbox.rows()
    assert left > 0
    await other.start()
    await other.ready()

    async def it_took_over() -> bool:
        return await outbox.rows() < left

    await eventually(it_took_over, FENCE_SECONDS + 5)
    await outbox.emptied()
    frozen.signal(signal.SIGCONT)
    await listener.heard_all(5_000)
    await outbox.announce("markets/0", range(5_001, 5_101))
    await outbox.emptied()
    await listener.heard_all(5_100)
    listener.assert_in_order()
    assert len(listener.heard) - 5_100 <= BATCH


async def test_told_to_stop_it_finishes_and_exits_with_success(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    relay = start_relay()
    await outbox.announce("markets/0", range(1, 2_001))
    await relay.start()
    await listener.heard_all(1)
    relay.signal(signal.SIGTERM)
    assert await relay.ended() == 0
    await asyncio.sleep(0.2)
    assert len(listener.heard) == 2_000 - await outbox.rows(), "every batch under way was finished"


async def test_once_empties_the_outbox_and_says_what_is_left(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    relay = start_relay()
    await outbox.announce("markets/0", range(1, 1_001))
    await relay.start("--once")
    assert await relay.ended() == 0
    await listener.heard_all(1_000)
    await outbox.announce("markets/1", [1], key="nobody")
    await relay.start("--once")
    assert await relay.ended() == 1


async def test_it_tells_its_health_and_its_lag(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    await outbox.announce("markets/0", [1, 2, 3], key="nobody")
    await outbox.writer.execute("UPDATE outbox SET created_at = now() - interval '1 minute'")
    relay = start_relay()
    await relay.start()
    await relay.ready()

    async def it_has_tried() -> bool:
        return (await scraped(relay))["relay_stuck_shards"] == 1

    await eventually(it_has_tried)
    found = await scraped(relay)
    assert sum(value for name, value in found.items() if name.startswith("relay_backlog_rows{")) == 3
    assert max(value for name, value in found.items() if name.startswith("relay_backlog_seconds{")) >= 60
    assert found['relay_refused_total{reason="unroutable"}'] >= 1
    assert not listener.heard
