"""Relays as processes: two of them, killed, frozen, stopped."""

from __future__ import annotations

import asyncio
import random
import re
import signal

import aiohttp
import pytest
from common.amqp.publisher import CONFIRM_TIMEOUT_SECONDS
from relay.domain import SHARDS, Pace
from relay.lanes import WATCH_SECONDS
from relay.service import BATCH, CAREFUL_SECONDS, FENCE_SECONDS
from relay.settings import Settings

from services.relay.tests.outbox import Listener, MakeRelay, Outbox, RelayProcess, eventually
from services.relay.tests.places import Nats, Place, Rabbit
from tools.proxy import Proxy

LANES: int = Settings.model_fields["lanes"].default


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


async def kill_again_and_again(
    outbox: Outbox, listener: Listener, relay: RelayProcess, *, kills: int, markets: int, upto: int
) -> None:
    """Write events and kill the relay so often meanwhile; nothing is lost, no market's events change places."""
    await relay.start()
    writing = asyncio.create_task(write(outbox, markets=markets, upto=upto))
    for kill in range(1, kills + 1):
        await listener.heard_all(kill * markets * upto // (kills + 1))
        await asyncio.sleep(random.uniform(0, 0.02))
        await relay.kill()
        await relay.start()
    written = await writing
    await outbox.emptied()
    await listener.heard_all(written)
    listener.assert_in_order()
    assert listener.twice <= kills * LANES * BATCH


async def test_a_killed_relay_loses_nothing_and_reorders_nothing(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    await kill_again_and_again(outbox, listener, start_relay(), kills=4, markets=40, upto=100)


async def test_a_relay_killed_between_confirmation_and_deletion_repeats_its_batch(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay, place: Place
) -> None:
    """The crash window itself, hit for certain: published and confirmed, not yet deleted."""
    killed, other = start_relay(), start_relay()
    await outbox.announce("markets/0", range(1, BATCH + 1))
    async with outbox.undeletable():
        await killed.start()
        await outbox.deleting()
        await listener.heard_all(BATCH)
        await killed.kill()
    assert await outbox.rows() == BATCH
    await other.start()
    await outbox.emptied()
    await other.ready()
    assert (await scraped(other))["relay_sent_again_total"] == BATCH
    await outbox.announce("markets/0", [BATCH + 1])
    await listener.heard_all(BATCH + 1)
    listener.assert_in_order()
    # JetStream knows the ids again; RabbitMQ leaves that to the consumers' inboxes.
    assert listener.twice == (BATCH if isinstance(place, Rabbit) else 0)


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
        proxy.reset()
        proxy.flow()
    proxy.half_open()
    written = await writing
    await outbox.emptied()
    await listener.heard_all(written)
    listener.assert_in_order()


@pytest.mark.parametrize("place", ["nats"], indirect=True)
async def test_a_killed_broker_loses_nothing(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay, place: Place
) -> None:
    """NATS, whose server is this test's own. RabbitMQ is killed in the drills: everybody here uses it."""
    assert isinstance(place, Nats)
    relay = start_relay()
    await relay.start()
    writing = asyncio.create_task(write(outbox, markets=30, upto=120))
    await listener.heard_all(500)
    await place.server.kill()
    await asyncio.sleep(0.5)
    await place.server.start()
    written = await writing
    await outbox.emptied()
    await listener.heard_all(written)
    listener.assert_in_order()


@pytest.mark.parametrize("place", ["amqp"], indirect=True)
async def test_a_frozen_relay_loses_its_shards_to_another(
    outbox: Outbox, listener: Listener, start_relay: MakeRelay
) -> None:
    """Frozen after the confirmation, while it prepares its first deletion: not even idle, for the server."""
    frozen, other = start_relay(), start_relay()
    await outbox.announce("markets/0", range(1, 2 * BATCH + 1))
    async with outbox.undeletable():
        await frozen.start()
        await outbox.deleting()
        frozen.signal(signal.SIGSTOP)
    assert await outbox.free_shards() == SHARDS - 1
    await other.start()
    await outbox.emptied()
    await other.ready()
    told = await scraped(other)
    assert (told["relay_sent_again_total"], told["relay_fenced_total"]) == (BATCH, 1)
    frozen.signal(signal.SIGCONT)
    await listener.heard_all(2 * BATCH)
    await outbox.announce("markets/0", range(2 * BATCH + 1, 3 * BATCH + 1))
    await outbox.emptied()
    await listener.heard_all(3 * BATCH)
    listener.assert_in_order()
    assert listener.twice == BATCH
    await frozen.ready()


def test_a_frozen_relay_is_replaced_within_ten_seconds() -> None:
    """The limit and another's next look; and no honest wait for confirmations is cut short by it."""
    assert FENCE_SECONDS + WATCH_SECONDS + Pace().idle < 10
    assert CAREFUL_SECONDS + CONFIRM_TIMEOUT_SECONDS < FENCE_SECONDS


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
    async with aiohttp.ClientSession() as session, session.get(f"{relay.url}/readyz") as answer:
        told = await answer.json()
    assert (told["status"], told["outbox"]["rows"]) == ("ready", 3)
    assert told["outbox"]["oldest_seconds"] >= 60
    assert not listener.heard
