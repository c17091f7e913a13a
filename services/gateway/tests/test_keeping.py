"""What is kept for a moment: how often it is asked for, who waits, and until when it serves."""

import asyncio
from collections.abc import Callable

import pytest
from common.errors import Unauthenticated, Unavailable
from gateway.keeping import RENEWED_FROM, Fresh, Keeping

GOOD_FOR = 30.0


class Identity:
    """Tells numbers, counted from 1, each when it is let."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.asked = 0
        self.lets = asyncio.Event()
        self.lets.set()
        self.refusal: Exception | None = None

    async def ask(self) -> Fresh[int]:
        self.asked += 1
        told = self.asked
        await self.lets.wait()
        if self.refusal is not None:
            raise self.refusal
        return Fresh(told, GOOD_FOR)

    def keeping(self, capacity: int = 10) -> Keeping[str, int]:
        return Keeping(capacity=capacity, clock=lambda: self.now)


async def settled() -> None:
    """What was begun beside is done."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_want_it_at_once_wait_for_one_asking() -> None:
    identity = Identity()
    keeping = identity.keeping()
    assert await asyncio.gather(*(keeping.get("a", identity.ask) for _ in range(9))) == [1] * 9
    assert await keeping.get("a", identity.ask) == 1
    assert identity.asked == 1


async def test_it_is_asked_for_anew_before_its_end_and_nobody_waits() -> None:
    identity = Identity()
    keeping = identity.keeping()
    assert await keeping.get("a", identity.ask) == 1
    identity.now += RENEWED_FROM[0] * GOOD_FOR - 1
    assert await keeping.get("a", identity.ask) == 1
    await settled()
    assert identity.asked == 1, "too early"
    identity.now = 1_000 + RENEWED_FROM[1] * GOOD_FOR + 1
    identity.lets.clear()
    for _ in range(9):
        assert await keeping.get("a", identity.ask) == 1
        await settled()
    assert identity.asked == 2
    identity.lets.set()
    await settled()
    identity.now = 1_000 + GOOD_FOR + 1
    assert await keeping.get("a", identity.ask) == 2
    assert identity.asked == 2


async def test_it_never_serves_beyond_its_time() -> None:
    """Not even while it is being asked for anew: then all wait for that."""
    identity = Identity()
    keeping = identity.keeping()
    assert await keeping.get("a", identity.ask) == 1
    identity.now += GOOD_FOR - 1
    identity.lets.clear()
    assert await keeping.get("a", identity.ask) == 1
    await settled()
    identity.now += 1
    late = [asyncio.create_task(keeping.get("a", identity.ask)) for _ in range(3)]
    await settled()
    assert not any(each.done() for each in late)
    identity.lets.set()
    assert await asyncio.gather(*late) == [2] * 3


async def test_time_counts_from_when_it_was_asked_for() -> None:
    identity = Identity()
    keeping = identity.keeping()
    identity.lets.clear()
    first = asyncio.create_task(keeping.get("a", identity.ask))
    await settled()
    identity.now += GOOD_FOR
    identity.lets.set()
    assert await first == 1
    assert await keeping.get("a", identity.ask) == 2


async def test_while_identity_is_away_what_is_kept_serves_to_its_end() -> None:
    identity = Identity()
    keeping = identity.keeping()
    assert await keeping.get("a", identity.ask) == 1
    identity.refusal = Unavailable("away")
    for _ in range(3):
        identity.now = 1_000 + GOOD_FOR - 1
        assert await keeping.get("a", identity.ask) == 1
        await settled()
    assert identity.asked == 4
    identity.now += 1
    with pytest.raises(Unavailable):
        await keeping.get("a", identity.ask)


async def test_what_identity_does_not_stand_by_any_more_is_dropped() -> None:
    identity = Identity()
    keeping = identity.keeping()
    assert await keeping.get("a", identity.ask) == 1
    identity.refusal = Unauthenticated("ended")
    identity.now += GOOD_FOR - 1
    assert await keeping.get("a", identity.ask) == 1
    await settled()
    with pytest.raises(Unauthenticated):
        await keeping.get("a", identity.ask)


def _forget(keeping: Keeping[str, int]) -> None:
    keeping.forget("a")


def _deafen(keeping: Keeping[str, int]) -> None:
    keeping.remember(False)
    keeping.remember(True)


@pytest.mark.parametrize("forget", [_forget, _deafen])
@pytest.mark.parametrize("known", [False, True])
async def test_what_is_forgotten_while_it_is_asked_for_is_not_kept(
    forget: Callable[[Keeping[str, int]], None], known: bool
) -> None:
    identity = Identity()
    keeping = identity.keeping()
    if known:
        await keeping.get("a", identity.ask)
        identity.now += GOOD_FOR - 1
    identity.lets.clear()
    asking = asyncio.create_task(keeping.get("a", identity.ask))
    await settled()
    forget(keeping)
    identity.lets.set()
    assert await asking == 1
    await settled()
    before = identity.asked
    assert await keeping.get("a", identity.ask) == before + 1


async def test_a_caller_who_leaves_takes_nobodys_answer_along() -> None:
    identity = Identity()
    keeping = identity.keeping()
    identity.lets.clear()
    one, other = (asyncio.create_task(keeping.get("a", identity.ask)) for _ in range(2))
    await settled()
    one.cancel()
    identity.lets.set()
    assert await other == 1


async def test_what_is_kept_is_bounded_and_whoever_drops_it_is_told() -> None:
    identity, dropped = Identity(), []
    keeping: Keeping[str, int] = Keeping(
        capacity=2,
        clock=lambda: identity.now,
        may_keep=lambda name, _: name != "never",
        dropped=lambda name, told: dropped.append((name, told)),
    )
    for name in ("a", "b", "a", "never", "c"):
        await keeping.get(name, identity.ask)
    assert keeping.names() == {"a", "c"}
    assert dropped == [("b", 2)]
    keeping.remember(False)
    assert not keeping.names()
    await keeping.get("a", identity.ask)
    assert not keeping.names()
