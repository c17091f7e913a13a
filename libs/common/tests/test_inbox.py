"""The inbox's two memories, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from uuid import uuid4

import pytest
from common import pg
from common.inbox import first_sight, is_newest
from common.pg import Pool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CONSUMER = "test.events"


async def test_an_event_is_new_once_for_each_consumer(pool: Pool) -> None:
    event = uuid4()
    async with pg.transaction(pool) as conn:
        assert await first_sight(conn, CONSUMER, event)
        assert not await first_sight(conn, CONSUMER, event)
        assert await first_sight(conn, "somebody.else", event)


async def test_an_event_whose_effect_failed_is_new_again(pool: Pool) -> None:
    event = uuid4()

    async def fail() -> None:
        async with pg.transaction(pool) as conn:
            assert await first_sight(conn, CONSUMER, event)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with pg.transaction(pool) as conn:
        assert await first_sight(conn, CONSUMER, event)


async def test_of_many_at_once_one_is_the_first(pool: Pool) -> None:
    event = uuid4()

    async def see() -> bool:
        async with pg.transaction(pool) as conn:
            first = await first_sight(conn, CONSUMER, event)
            await asyncio.sleep(random.uniform(0, 0.02))
            return first

    assert sorted(await asyncio.gather(*(see() for _ in range(8)))) == [False] * 7 + [True]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=12))
async def test_a_version_counts_only_if_it_is_above_all_before(pool: Pool, versions: list[int]) -> None:
    """Whatever order they come in, with repeats: what is kept in the end is the highest, and it never falls."""
    aggregate = f"markets/{uuid4()}"
    async with pg.transaction(pool) as conn:
        taken = [each for each in versions if await is_newest(conn, CONSUMER, aggregate, each)]
    assert taken == sorted(set(taken))
    assert taken[0] == versions[0]
    assert taken[-1] == max(versions)


async def test_events_of_one_aggregate_take_turns(pool: Pool) -> None:
    """Two processes with two versions of one aggregate: whoever is second waits for the first one's end."""
    seen: list[tuple[int, str]] = []

    async def handle(version: int) -> None:
        async with pg.transaction(pool) as conn:
            if await is_newest(conn, CONSUMER, "markets/1", version):
                seen.append((version, "in"))
                await asyncio.sleep(0.05)
                seen.append((version, "out"))

    await asyncio.gather(*(handle(version) for version in (1, 2, 3, 4)))
    assert [version for version, way in seen if way == "in"] == [
        version for version, way in seen if way == "out"
    ]
    assert all(seen[place][0] == seen[place + 1][0] for place in range(0, len(seen), 2))
    assert seen[-1][0] == 4
