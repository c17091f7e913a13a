"""The loop of the workers: bounded, deaf to errors, and it finishes what it has in hand."""

import asyncio
from collections.abc import Sequence

from common.pg import DatabaseUnavailable
from payments.store.errors import LeaseLost
from payments.worker import Worker

PATIENCE_SECONDS = 10.0


class Heap:
    """Numbers to work on; some lookups for them fail."""

    def __init__(self, numbers: int, failing: Sequence[Exception] = ()) -> None:
        self.left = list(range(numbers))
        self.failing = list(failing)
        self.done: list[int] = []
        self.in_hand = 0
        self.most_in_hand = 0
        self.begun = asyncio.Event()
        self.empty = asyncio.Event()

    async def lease(self, limit: int) -> Sequence[int]:
        if self.failing:
            raise self.failing.pop()
        taken, self.left = self.left[:limit], self.left[limit:]
        return taken

    async def step(self, number: int) -> None:
        self.in_hand += 1
        self.begun.set()
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        await asyncio.sleep(0.01)
        self.in_hand -= 1
        self.done.append(number)
        if not self.left:
            self.empty.set()
        if number % 3 == 0:
            raise LeaseLost("somebody else had it")
        if number % 5 == 0:
            raise RuntimeError("a defect")


def worker(heap: Heap) -> Worker[int]:
    return Worker("test", heap.lease, heap.step, workers=4, idle_seconds=0.01)


async def test_everything_is_done_few_at_a_time_whatever_fails() -> None:
    heap = Heap(40)
    async with worker(heap).running(), asyncio.timeout(PATIENCE_SECONDS):
        await heap.empty.wait()
    assert sorted(heap.done) == list(range(40))
    assert heap.most_in_hand == 4


async def test_it_goes_on_after_the_database_was_away() -> None:
    heap = Heap(1, failing=[DatabaseUnavailable("gone"), RuntimeError("a defect")])
    async with worker(heap).running(), asyncio.timeout(PATIENCE_SECONDS):
        await heap.empty.wait()
    assert heap.done == [0]


async def test_what_is_in_hand_is_finished_and_nothing_new_begun() -> None:
    heap = Heap(40)
    async with worker(heap).running(), asyncio.timeout(PATIENCE_SECONDS):
        await heap.begun.wait()
    assert heap.in_hand == 0
    assert len(heap.done) == 4
    assert len(heap.left) == 36
