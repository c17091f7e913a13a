"""Outbox and inbox against a real PostgreSQL."""

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from common.inbox import first_sight
from common.outbox import Announcement, announce, announce_all, shard_of
from common.pg import Pool, transaction
from common.telemetry.traces import continued
from pydantic import BaseModel

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Event(BaseModel):
    """An envelope of the tests."""

    id: UUID
    type: str = "betting.offer.placed.v1"
    traceparent: str | None = None
    data: dict[str, str]


async def test_an_event_lands_in_its_aggregates_shard_whole(pool: Pool) -> None:
    event = Event(id=uuid4(), data={"stake": "100.00"})
    with continued({"traceparent": TRACE}):
        async with transaction(pool) as conn:
            await announce(conn, aggregate="markets/1", version=7, envelope=event)
            shard = await shard_of(conn, "markets/1")
    row = await pool.fetchrow("SELECT * FROM outbox")
    assert row is not None
    assert (row["shard"], row["event_id"], row["aggregate"], row["version"]) == (
        shard,
        event.id,
        "markets/1",
        7,
    )
    assert (row["exchange"], row["routing_key"]) == ("events", event.type)
    assert json.loads(row["body"]) == {"id": str(event.id), "type": event.type, "data": {"stake": "100.00"}}
    assert json.loads(row["headers"]) == {"traceparent": TRACE}


async def test_a_command_goes_where_it_is_told(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await announce(
            conn,
            aggregate="m",
            version=1,
            envelope=Event(id=uuid4(), data={}),
            exchange="commands",
            routing_key="ledger.commands.betting",
        )
    row = await pool.fetchrow("SELECT exchange, routing_key, headers FROM outbox")
    assert row is not None
    assert tuple(row) == ("commands", "ledger.commands.betting", "{}")


async def test_an_event_leaves_only_with_its_cause(pool: Pool) -> None:
    async def announce_and_fail() -> None:
        async with transaction(pool) as conn:
            await announce(conn, aggregate="m", version=1, envelope=Event(id=uuid4(), data={}))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await announce_and_fail()
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_what_one_change_has_to_tell_keeps_its_order(pool: Pool) -> None:
    events = [Event(id=uuid4(), data={}) for _ in range(300)]
    async with transaction(pool) as conn:
        await announce_all(conn, [Announcement("m", version, event) for version, event in enumerate(events)])
        await announce_all(conn, [])
    told = await pool.fetch("SELECT event_id, version FROM outbox ORDER BY id")
    assert [tuple(row) for row in told] == [(event.id, version) for version, event in enumerate(events)]


async def test_aggregates_spread_over_sixteen_shards(pool: Pool) -> None:
    async with transaction(pool) as conn:
        shards = {await shard_of(conn, f"markets/{number}") for number in range(200)}
    assert shards == set(range(16))


async def test_an_event_is_new_once_per_consumer(pool: Pool) -> None:
    event = uuid4()
    for consumer in ("betting", "payments"):
        async with transaction(pool) as conn:
            assert await first_sight(conn, consumer, event)
        async with transaction(pool) as conn:
            assert not await first_sight(conn, consumer, event)


async def test_an_event_whose_handling_failed_is_new_again(pool: Pool) -> None:
    event = uuid4()

    async def handle_and_fail() -> None:
        async with transaction(pool) as conn:
            assert await first_sight(conn, "betting", event)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await handle_and_fail()
    async with transaction(pool) as conn:
        assert await first_sight(conn, "betting", event)


async def test_of_deliveries_at_the_same_moment_one_has_the_effect(pool: Pool) -> None:
    event = uuid4()

    async def handle() -> bool:
        async with transaction(pool) as conn:
            new = await first_sight(conn, "betting", event)
            await asyncio.sleep(0.02)
            return new

    assert sorted(await asyncio.gather(*(handle() for _ in range(8)))) == [False] * 7 + [True]
