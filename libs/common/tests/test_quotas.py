"""A day's requests, counted by a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from common import redis
from common.quotas import DailyQuota, QuotaExceeded, Quotas
from common.testing import stack
from redis.asyncio import Redis

QUOTA = DailyQuota("daily", 5)


@pytest.fixture
async def store() -> AsyncIterator[Redis]:
    opened = redis.connect(stack().redis_url)
    yield opened
    await opened.aclose()


async def spent(quotas: Quotas, key: str) -> bool:
    try:
        await quotas.spend(QUOTA, key)
    except QuotaExceeded:
        return False
    return True


async def test_as_many_as_agreed_pass_however_they_come(store: Redis) -> None:
    one, other, key = Quotas(store, prefix="test"), Quotas(store, prefix="test"), str(uuid4())
    passed = await asyncio.gather(*(spent((one, other)[n % 2], key) for n in range(40)))
    assert sum(passed) == QUOTA.requests
    assert await spent(one, str(uuid4())), "every key has its own"


async def test_the_refusal_says_when_the_next_day_begins(store: Redis) -> None:
    quotas, key = Quotas(store, prefix="test"), str(uuid4())
    for _ in range(QUOTA.requests):
        await quotas.spend(QUOTA, key)
    with pytest.raises(QuotaExceeded) as refused:
        await quotas.spend(QUOTA, key)
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    assert refused.value.retry_after is not None
    assert abs((midnight - now).total_seconds() - refused.value.retry_after) < 5
    assert abs(await store.ttl(f"test:daily:{key}") - refused.value.retry_after) < 5


async def test_without_the_store_requests_pass(caplog: pytest.LogCaptureFixture) -> None:
    quotas = Quotas(redis.connect("redis://127.0.0.1:1/0"), prefix="test")
    assert all([await spent(quotas, "k") for _ in range(10)])
    assert "not counted" in caplog.text
