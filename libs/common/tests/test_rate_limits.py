"""Rate limits: on a real Redis, and in the process while there is none."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from common.rate_limits import Charge, LimiterUnavailable, RateLimit, RateLimited, RateLimiter, WhenBlind
from common.redis import connect
from common.testing import stack

NOWHERE = "redis://127.0.0.1:1/0"
SLOW = RateLimit("slow", per_second=0.01, burst=10, when_blind=WhenBlind.REFUSE)
BRISK = RateLimit("brisk", per_second=1, burst=5, when_blind=WhenBlind.COUNT_HERE)


@pytest.fixture
async def limiter() -> AsyncIterator[RateLimiter]:
    """On the stack's Redis, under a prefix of its own."""
    redis = connect(stack().redis_url)
    yield RateLimiter(redis, prefix=f"test:{uuid4()}")
    await redis.aclose()


async def passes(limiter: RateLimiter, *charges: Charge) -> bool:
    try:
        await limiter.admit(*charges)
    except RateLimited:
        return False
    return True


async def test_a_burst_passes_and_then_the_steady_rate(limiter: RateLimiter) -> None:
    a, b = Charge(BRISK, "a"), Charge(BRISK, "b")
    assert [await passes(limiter, a) for _ in range(5)] == [True] * 5
    assert not all([await passes(limiter, a) for _ in range(5)])
    assert await passes(limiter, b)
    await asyncio.sleep(1.05)
    assert await passes(limiter, a)


async def test_many_at_once_do_not_pass_together(limiter: RateLimiter) -> None:
    results = await asyncio.gather(
        *(limiter.admit(Charge(SLOW, "key")) for _ in range(50)), return_exceptions=True
    )
    assert Counter(type(each).__name__ for each in results) == {"Standing": 10, "RateLimited": 40}


async def test_one_full_key_refuses_and_the_others_are_not_charged(limiter: RateLimiter) -> None:
    """A guesser who is over their own limit must not use up that of the account they guess at."""
    address, account = Charge(SLOW, "address"), Charge(BRISK, "account")
    for _ in range(10):
        await limiter.admit(address)
    for _ in range(20):
        assert not await passes(limiter, address, account)
    assert [await passes(limiter, account) for _ in range(5)] == [True] * 5


async def test_the_headers_tell_what_is_left_and_when_it_is_back(limiter: RateLimiter) -> None:
    first = await limiter.admit(Charge(SLOW, "key"))
    assert first.headers == {"RateLimit-Policy": '"slow";q=10;w=1000', "RateLimit": '"slow";r=9;t=100'}
    *_, last = [await limiter.admit(Charge(SLOW, "key")) for _ in range(9)]
    assert last.headers["RateLimit"].startswith('"slow";r=0;t=')
    with pytest.raises(RateLimited) as refusal:
        await limiter.admit(Charge(SLOW, "key"))
    assert refusal.value.standing.remaining == 0
    assert refusal.value.retry_after is not None
    assert 90 <= refusal.value.retry_after <= 100


async def test_a_clock_that_is_put_back_locks_nobody_out() -> None:
    """Redis's clock was an hour ahead when it noted this key."""
    redis, prefix, key = connect(stack().redis_url), f"test:{uuid4()}", Charge(BRISK, "a")
    seconds, micros = await redis.time()
    ahead = (seconds + 3600) * 1_000_000 + micros
    await redis.set(f"{prefix}:{BRISK.name}:a", ahead, ex=7200)
    limiter = RateLimiter(redis, prefix=prefix)
    assert [await passes(limiter, key) for _ in range(6)] == [True] * 5 + [False]
    await redis.aclose()


async def test_what_is_forgiven_is_not_counted(limiter: RateLimiter) -> None:
    attempt = Charge(SLOW, "account")
    for _ in range(3):
        assert [await passes(limiter, attempt) for _ in range(10)] == [True] * 10
        await limiter.forgive(attempt)


async def test_without_redis_a_strict_limit_lets_nobody_pass() -> None:
    redis = connect(NOWHERE)
    blind = RateLimiter(redis, prefix="test")
    with pytest.raises(LimiterUnavailable):
        await blind.admit(Charge(BRISK, "a"), Charge(SLOW, "a"))
    await redis.aclose()


async def test_without_redis_the_others_are_counted_here() -> None:
    redis, now = connect(NOWHERE), [0]
    blind = RateLimiter(redis, prefix="test", now_micros=lambda: now[0])
    assert [await passes(blind, Charge(BRISK, "a")) for _ in range(7)] == [True] * 5 + [False] * 2
    assert await passes(blind, Charge(BRISK, "b"))
    now[0] += 1_000_000
    assert [await passes(blind, Charge(BRISK, "a")) for _ in range(2)] == [True, False]
    await redis.aclose()


def test_a_rate_is_never_rounded_up() -> None:
    limit = RateLimit("thirds", per_second=3, burst=10, when_blind=WhenBlind.REFUSE)
    assert limit.interval_micros == 333_334
    assert limit.tolerance_micros == 9 * 333_334
