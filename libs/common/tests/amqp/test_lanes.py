"""Order within a key, concurrency across keys."""

from __future__ import annotations

import asyncio

from common.amqp.lanes import Lanes
from hypothesis import given
from hypothesis import strategies as st

Item = tuple[str, int]


@given(st.lists(st.sampled_from("abcd"), max_size=60), st.integers(min_value=1, max_value=5))
def test_order_is_kept_within_a_key_and_the_limit_holds(keys: list[str], concurrency: int) -> None:
    items = [(key, number) for number, key in enumerate(keys)]
    done: list[Item] = []
    at_work: set[Item] = set()
    most = 0

    async def work(item: Item) -> None:
        nonlocal most
        assert item[0] not in {key for key, _ in at_work}, "two of one key at once"
        at_work.add(item)
        most = max(most, len(at_work))
        for _ in range(item[1] % 3):
            await asyncio.sleep(0)
        at_work.remove(item)
        done.append(item)

    async def run() -> None:
        lanes: Lanes[Item] = Lanes(work, concurrency=concurrency)
        for item in items:
            lanes.put(item[0], item)
        assert await lanes.join(5)

    asyncio.run(run())
    assert sorted(done) == sorted(items)
    for key in set(keys):
        assert [item for item in done if item[0] == key] == [item for item in items if item[0] == key]
    assert most <= concurrency


async def test_different_keys_work_at_the_same_time() -> None:
    everybody = asyncio.Barrier(4)

    async def work(_: int) -> None:
        await everybody.wait()

    lanes: Lanes[int] = Lanes(work, concurrency=4)
    for number in range(4):
        lanes.put(str(number), number)
    assert await lanes.join(5), "they waited for each other in vain"


async def test_what_is_not_done_in_time_is_cancelled() -> None:
    async def work(_: int) -> None:
        await asyncio.sleep(60)

    lanes: Lanes[int] = Lanes(work, concurrency=1)
    lanes.put("a", 1)
    assert not await lanes.join(0.05)
