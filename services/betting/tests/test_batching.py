"""Batches follow each other at their pace, and whoever comes after a quiet while waits for nothing."""

import asyncio
from collections.abc import Sequence

import pytest
from betting.service.batching import Batcher


class Commits:
    """Remembers what was committed together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def commit(self, commands: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(commands))
        return [command * 10 for command in commands]


async def test_what_comes_within_the_pace_goes_together() -> None:
    commits = Commits()
    batcher: Batcher[int, int] = Batcher("test", commits.commit, pace_seconds=1.0)
    assert await batcher.submit(1) == 10  # nothing has happened for long
    tasks = []
    for number in (2, 3, 4):
        tasks.append(asyncio.create_task(batcher.submit(number)))
        await asyncio.sleep(0.01)
    assert await asyncio.gather(*tasks) == [20, 30, 40]
    assert commits.batches == [[1], [2, 3, 4]]
    await batcher.drained()
    assert batcher.is_idle


async def test_who_comes_after_a_quiet_while_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batcher: Batcher[int, int] = Batcher("test", Commits().commit, pace_seconds=0.01)
    await batcher.submit(1)
    await asyncio.sleep(0.05)

    async def nobody(_: float) -> None:
        raise AssertionError("it waited")

    monkeypatch.setattr("betting.service.batching.asyncio.sleep", nobody)
    assert await batcher.submit(2) == 20
