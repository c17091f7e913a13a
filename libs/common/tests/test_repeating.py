"""What runs beside a serving process ends when it does."""

import asyncio

from common.repeating import end


async def test_a_task_that_takes_a_cancellation_for_a_failure_ends() -> None:
    """As a loop over a library that raises its own error when it is cancelled while its connection breaks."""
    failures = 0

    async def begins_again() -> None:
        nonlocal failures
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                failures += 1
                if failures > 2:
                    raise

    task = asyncio.create_task(begins_again())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end(task)
    assert task.cancelled()
    assert failures == 3


async def test_a_task_that_has_ended_is_left_alone() -> None:
    async def fails() -> None:
        raise ValueError("no")

    task = asyncio.create_task(fails())
    await asyncio.wait((task,))
    await end(task)
    assert isinstance(task.exception(), ValueError)
