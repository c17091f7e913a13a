"""More than can be posted: refused at the door, unread, by those who are known; nothing else suffers from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from common.testing import Database
from ledger.api import LEDGER
from ledger.domain import refusals
from ledger.engine import PostingEngine

from services.ledger.tests.at_the_lane import Wire, beside
from services.ledger.tests.door import Json
from services.ledger.tests.shop import CASH, Desk, Shop, open_desk, open_shop, slug, transfer_body
from services.ledger.tests.vocabulary import a_key, connected, locked

ANA = "liabilities/ana"
ROOM = 3
POST, BATCH = "/v1/entries", "/v1/entries/batch"


@dataclass
class Full:
    """A desk whose ledger is locked by somebody else, so that nothing is posted, and whose queue is full."""

    desk: Desk
    waiting: list[asyncio.Task[tuple[int, Json]]]
    release: asyncio.Event

    async def emptied(self) -> list[int]:
        """What those who waited are answered, once they can be."""
        self.release.set()
        return [status for status, _ in await asyncio.gather(*self.waiting)]


def engine_of(desk: Desk) -> PostingEngine:
    app = desk.door.client.app
    assert app is not None
    return app[LEDGER]._engines[desk.ledger]


@pytest.fixture
async def full(database: Database, tmp_path: Path) -> AsyncIterator[Full]:
    async with open_desk(database, tmp_path, max_queued=ROOM) as desk:
        await desk.fund(ANA, "10.00")
        engine, release = engine_of(desk), asyncio.Event()
        async with locked(database, desk.ledger, release):
            body = transfer_body(ANA, "liabilities/ben", "1.00")
            waiting = [asyncio.create_task(desk.post(POST, body))]
            async with asyncio.timeout(10):
                while (
                    not engine._flights or engine._queued
                ):  # the first one is being posted, as far as that goes
                    await asyncio.sleep(0.01)
                waiting += [asyncio.create_task(desk.post(POST, body)) for _ in range(ROOM)]
                while engine._queued < ROOM:
                    await asyncio.sleep(0.01)
            try:
                yield Full(desk, waiting, release)
            finally:
                release.set()
                await asyncio.gather(*waiting)


async def entries(desk: Desk) -> int:
    async with connected(desk.door.database, "ledger_reader") as connection:
        return int(await connection.fetchval("SELECT count(*) FROM entry WHERE ledger_id = $1", desk.ledger))


def is_turned_away(status: int, told: Json) -> bool:
    headers = {name.lower(): value for name, value in told["headers"].items()}
    return (
        (status, slug(told)) == (429, "overloaded")
        and headers["content-type"].startswith("application/problem+json")
        and headers["retry-after"] == "1"
        and told["request_id"] == headers["x-request-id"]
    )


async def test_who_comes_to_a_full_queue_is_refused_unread_and_is_posted_later(full: Full) -> None:
    """What they sent is no JSON and would be 400: nobody looked. The key is not used up either."""
    key = a_key()
    headers = {
        "Authorization": f"Bearer {full.desk.secret}",
        "Idempotency-Key": key,
        "X-Request-Id": "mine",
        "Content-Type": "application/json",
    }
    async with full.desk.door.client.post(POST, data=b"{", headers=headers) as answer:
        told = json.loads(await answer.read()) | {"headers": dict(answer.headers)}
    assert is_turned_away(answer.status, told), told
    assert told["request_id"] == "mine"
    body = transfer_body(ANA, "liabilities/ben", "1.00")
    assert is_turned_away(*await full.desk.post(POST, body, key))
    before = await entries(full.desk)
    assert await full.emptied() == [201] * (1 + ROOM)
    assert await entries(full.desk) == before + 1 + ROOM
    status, told = await full.desk.post(POST, body, key)
    assert (status, told["headers"].get("Idempotent-Replayed")) == (201, None)
    assert await full.desk.balance(ANA) == f"{10 - 1 - ROOM - 1}.00"


async def test_a_body_that_has_not_come_is_not_waited_for(full: Full) -> None:
    client = full.desk.door.client
    reader, writer = await asyncio.open_connection(client.host, client.port)
    wire = Wire(reader, writer, full.desk)
    await wire.send(wire.request(b"", more="Content-Length: 100000\r\n", length=False))
    async with asyncio.timeout(5):  # the body itself might take twice as long
        status, told = await wire.answer()
    assert (status, slug(told)) == (429, "overloaded")
    writer.close()


@pytest.mark.parametrize(
    "path",
    ["/v1/holds", "/v1/entries/{id}/reversal", "/v1/holds/{id}/capture", "/v1/holds/{id}/release", BATCH],
)
async def test_every_way_to_post_is_turned_away(full: Full, path: str) -> None:
    assert is_turned_away(*await full.desk.post(path.format(id=a_key()), {}))


async def test_at_the_fast_lane_as_well(full: Full) -> None:
    async with beside(full.desk) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        wire = Wire(reader, writer, full.desk)
        for path in (POST, BATCH):
            await wire.send(wire.request(b"{", path))
            status, told = await wire.answer()
            assert (status, slug(told)) == (429, "overloaded")
        await full.emptied()
        await wire.send(wire.request(json.dumps(transfer_body(ANA, "liabilities/ben", "1.00")).encode()))
        assert (await wire.answer())[0] == 201
        writer.close()


async def test_who_is_not_known_learns_nothing(full: Full) -> None:
    for secret in ("lk_live_nobody", "nobody"):
        status, told = await full.desk.door.ask(secret, "POST", POST, {}, **{"Idempotency-Key": "k"})
        assert (status, slug(told)) == (401, "unauthenticated")
        assert "Retry-After" not in told["headers"]


async def test_reading_health_and_what_is_not_posted_go_on(full: Full) -> None:
    assert await full.desk.balance(ANA) == "10.00"
    for path in ("/healthz", "/readyz"):
        async with full.desk.door.client.get(path) as answer:
            assert answer.status == 200, path
    status, told = await full.desk.post("/v1/account/closing", {})
    assert (status, slug(told)) == (400, "invalid-request"), "it is read, and only found wanting"


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    async with AsyncExitStack() as stack:
        yield await open_shop(database, stack)


async def test_who_would_wait_too_long_is_refused_but_never_while_the_next_batch_has_room(shop: Shop) -> None:
    """No wait is short enough for this engine, and its queue is far from full: only the next batch's room counts."""
    chart = shop.engine.chart
    engine = PostingEngine(
        shop.pool, shop.ledger, chart, max_batch=2, max_queued=1_000, max_wait_seconds=-1.0
    )
    engine.start()
    release = asyncio.Event()

    def post() -> asyncio.Task[object]:
        return asyncio.create_task(engine.post(shop.transfer(CASH, ANA, "1.00")))

    async with locked(shop.database, shop.ledger, release):
        engine.expect_room()
        tasks = [post()]
        async with asyncio.timeout(10):
            while not engine._flights or engine._queued:
                await asyncio.sleep(0.01)
        tasks.append(post())
        await asyncio.sleep(0)
        engine.expect_room()
        tasks.append(post())
        await asyncio.sleep(0)
        with pytest.raises(refusals.Overloaded) as refused:
            engine.expect_room()
        assert refused.value.retry_after == 1
        tasks.append(post())  # from the broker: it does not come to the door, and there is room in the queue
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*tasks)
    engine.expect_room()
    await engine.close()
    assert (await shop.balances())[ANA, "USD"] == 4
