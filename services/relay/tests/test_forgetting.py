"""The relay forgets what its database lets go, batch after batch, and tells how much."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from common import pg
from common.testing import fresh_database
from prometheus_client import REGISTRY
from relay import forgetting, store

HEARD = """
    INSERT INTO inbox (consumer, event_id, received_at)
    SELECT 'c', gen_random_uuid(), now() - $1 * interval '1 day' FROM generate_series(1, $2)
"""
ENDED = """
    INSERT INTO deadline (subject, kind, generation, due_at, retry_at, state, ended_at)
    SELECT gen_random_uuid()::text, 'k', 1, now(), now(), 'DONE', now() - $1 * interval '1 day' FROM generate_series(1, $2)
"""
ANSWERED = """
    INSERT INTO idempotency (principal, key, fingerprint, status, body, created_at)
    SELECT 'p', gen_random_uuid()::text, sha256(''), 200, '{}', now() - $1 * interval '1 day' FROM generate_series(1, $2)
"""


def forgotten() -> float:
    return REGISTRY.get_sample_value("relay_forgotten_total", {"table": "inbox"}) or 0.0


async def test_all_that_is_old_goes_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 10)
    monkeypatch.setattr(forgetting, "PAUSE_SECONDS", 0.0)
    before = forgotten()
    async with (
        fresh_database("betting") as database,
        asyncpg.create_pool(database.superuser_dsn, min_size=1, max_size=1) as owner,
        await pg.create_pool(
            database.dsn("betting_relay"), application_name="tests", settings=store.SESSION
        ) as relay,
    ):
        await owner.execute(HEARD, 101, 25)
        await owner.execute(HEARD, 99, 3)
        assert sorted(await store.forgettable(relay)) == ["deadline", "inbox"]
        await forgetting.forget(relay, asyncio.Event())
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await relay.execute("DELETE FROM inbox")
        assert await owner.fetchval("SELECT count(*) FROM inbox") == 3
    assert forgotten() - before == 25


@pytest.mark.parametrize(
    ("write", "change"),
    [
        (HEARD, "DELETE FROM inbox"),
        (ENDED, "DELETE FROM deadline"),
        (ANSWERED, "DELETE FROM idempotency"),
        (ANSWERED, "UPDATE idempotency SET body = '{\"other\": 1}'"),
    ],
)
async def test_nobody_forgets_what_must_be_kept(write: str, change: str) -> None:
    """As the owner, whom no privilege stops: the tables themselves refuse."""
    async with (
        fresh_database("betting") as database,
        asyncpg.create_pool(database.superuser_dsn, min_size=1, max_size=1) as owner,
    ):
        await owner.execute(write, 80, 2)
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(change)
