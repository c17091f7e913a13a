"""Work that stands is told of, while its process lives."""

from __future__ import annotations

import asyncio

from common.progress import Progress
from common.repeating import repeating
from prometheus_client import REGISTRY


def overdue(work: str) -> float:
    found = REGISTRY.get_sample_value("work_overdue_seconds", {"work": work})
    assert found is not None
    return found


def test_it_is_late_from_when_the_next_turn_should_have_begun() -> None:
    now = 100.0
    progress = Progress("carry coal", every_seconds=5, clock=lambda: now)
    now = 104
    assert overdue("carry coal") == 0
    now = 112
    assert overdue("carry coal") == 7
    progress.done()
    assert overdue("carry coal") == 0


async def test_turns_that_fail_or_never_end_are_no_progress() -> None:
    mended, hangs = asyncio.Event(), asyncio.Event()
    turns = 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        if not mended.is_set():
            raise RuntimeError("broken")
        await hangs.wait()

    async with repeating("carry wood", work, every_seconds=0.01):
        await asyncio.sleep(0.3)
        assert turns > 3
        assert overdue("carry wood") > 0.2
        mended.set()
        await asyncio.sleep(0.3)
        assert overdue("carry wood") > 0.4, "it hangs"
        hangs.set()
        await asyncio.sleep(0.1)
        assert overdue("carry wood") < 0.1
