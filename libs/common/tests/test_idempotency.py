"""One key, one effect, one answer: the table of cases, against a real PostgreSQL."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from common.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
    NotReady,
    Refused,
    TooMany,
    Unavailable,
)
from common.idempotency import RULES, Answer, KeyInFlight, KeyReused, claim, fingerprint, finish, once
from common.pg import Pool, transaction
from common.wire import AmountText, Body
from pydantic import Field

ROOT = Path(__file__).resolve().parents[3]
ASKED = fingerprint("POST /v1/things")
Work = Callable[[], Awaitable[Answer]]


class Order(Body):
    """A body of the tests."""

    amount: AmountText
    notes: dict[str, str] = Field(default_factory=dict)


class OutOfStock(Refused):
    """There is none left."""

    slug = "out-of-stock"
    title = "Out of stock"


class Shop:
    """Counts its effects in the database, in the transaction that is given."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    async def ask(
        self,
        *,
        principal: str = "ana",
        key: str = "k",
        asked: bytes = ASKED,
        error: Exception | None = None,
        seconds: float = 0,
    ) -> Answer:
        async with transaction(self.pool) as conn:

            async def work() -> Answer:
                done: int = await conn.fetchval("INSERT INTO effect SELECT count(*) FROM effect RETURNING id")
                await asyncio.sleep(seconds)
                if error is not None:
                    raise error
                return Answer(201, json.dumps({"thing": done}), resource=f"things/{done}")

            return await once(conn, principal=principal, key=key, fingerprint=asked, work=work)

    async def effects(self) -> int:
        total: int = await self.pool.fetchval("SELECT count(*) FROM effect")
        return total


@pytest.fixture
def shop(pool: Pool) -> Shop:
    return Shop(pool)


async def test_the_first_executes_and_the_rest_replay_it_to_the_letter(shop: Shop) -> None:
    first = await shop.ask()
    assert (first.status, first.replayed) == (201, False)
    for _ in range(3):
        again = await shop.ask()
        assert (again.status, again.body, again.resource) == (201, first.body, "things/0")
        assert again.replayed
    assert await shop.effects() == 1


async def test_another_request_under_the_key_is_refused(shop: Shop) -> None:
    await shop.ask()
    with pytest.raises(KeyReused) as reused:
        await shop.ask(asked=fingerprint("POST /v1/others"))
    assert reused.value.status == 422
    assert await shop.effects() == 1


async def test_another_principals_key_is_another_key(shop: Shop) -> None:
    await shop.ask(principal="ana")
    assert not (await shop.ask(principal="luz")).replayed
    assert await shop.effects() == 2


async def test_while_the_first_runs_the_others_are_told_to_come_back(shop: Shop) -> None:
    first = asyncio.create_task(shop.ask(seconds=0.2))
    await asyncio.sleep(0.1)
    with pytest.raises(KeyInFlight) as flying:
        await shop.ask()
    assert (flying.value.status, flying.value.retry_after) == (409, 1)
    await first
    assert (await shop.ask()).replayed


async def test_a_storm_under_one_key_has_one_effect_and_one_answer(shop: Shop) -> None:
    async def insist() -> Answer:
        while True:
            try:
                return await shop.ask(seconds=0.01)
            except KeyInFlight:
                await asyncio.sleep(0.01)

    answers = await asyncio.gather(*(insist() for _ in range(50)))
    assert await shop.effects() == 1
    assert {answer.body for answer in answers} == {'{"thing": 0}'}
    assert sum(not answer.replayed for answer in answers) == 1


@pytest.mark.parametrize("error", [OutOfStock("none left"), Conflict("closed", extra={"version": 3})])
async def test_a_business_refusal_is_stored_without_its_effect(shop: Shop, error: DomainError) -> None:
    refused = await shop.ask(error=error)
    assert (refused.status, refused.replayed) == (error.status, False)
    assert json.loads(refused.body)["type"] == f"/problems/{error.slug}"
    again = await shop.ask()
    assert (again.status, again.body, again.replayed) == (refused.status, refused.body, True)
    assert await shop.effects() == 0


@pytest.mark.parametrize(
    "error",
    [
        Invalid("x"),
        Forbidden("x"),
        NotFound("x"),
        NotReady("x"),
        TooMany("x"),
        Unavailable("x"),
        RuntimeError("x"),
    ],
)
async def test_everything_else_leaves_no_trace_and_the_retry_executes(shop: Shop, error: Exception) -> None:
    with pytest.raises(type(error)):
        await shop.ask(error=error)
    assert await shop.effects() == 0
    assert not (await shop.ask()).replayed
    assert await shop.effects() == 1


async def test_a_saga_holds_its_key_between_its_transactions(pool: Pool) -> None:
    async with transaction(pool) as conn:
        started = await claim(conn, principal="ana", key="k", fingerprint=ASKED, resource="offers/1")
    assert started is None
    async with transaction(pool) as conn:
        with pytest.raises(KeyInFlight):
            await claim(conn, principal="ana", key="k", fingerprint=ASKED)
    async with transaction(pool) as conn:
        await finish(conn, principal="ana", key="k", answer=Answer(201, "{}"))
    async with transaction(pool) as conn:
        await finish(conn, principal="ana", key="k", answer=Answer(500, "[]"))
        stored = await claim(conn, principal="ana", key="k", fingerprint=ASKED)
    assert stored == Answer(201, "{}", "offers/1", replayed=True)


async def test_a_saga_that_crashed_before_its_first_commit_never_was(pool: Pool) -> None:
    async def crash() -> None:
        async with transaction(pool) as conn:
            await claim(conn, principal="ana", key="k", fingerprint=ASKED)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await crash()
    async with transaction(pool) as conn:
        assert await claim(conn, principal="ana", key="k", fingerprint=ASKED) is None


def test_a_fingerprint_is_over_values_and_not_over_spelling() -> None:
    def of(amount: str, **notes: str) -> bytes:
        return fingerprint("POST /v1/orders", Order(amount=amount, notes=notes))

    assert of("1.50", a="1", b="2") == of("1.5", b="2", a="1")
    assert of("1.50") != of("1.51")
    assert of("1", a="1.50") != of("1", a="1.5")
    assert of("1") != fingerprint("POST /v2/orders", Order(amount="1"))
    assert len(of("1")) == 32


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE idempotency SET status = 201, body = '{}'",
        "UPDATE idempotency SET status = NULL",
        "DELETE FROM idempotency",
    ],
)
async def test_what_was_answered_stays_and_the_key_with_it(pool: Pool, change: str) -> None:
    """Whoever asks: the owner of the table may not either, so no later answer stands in for the first one."""
    async with transaction(pool) as conn:
        assert await claim(conn, principal="ana", key="k1", fingerprint=ASKED) is None
        await finish(conn, principal="ana", key="k1", answer=Answer(200, "{}"))
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(change)
    async with transaction(pool) as conn:
        stored = await claim(conn, principal="ana", key="k1", fingerprint=ASKED)
    assert stored == Answer(200, "{}", replayed=True)


def test_every_service_with_keys_has_the_same_rules() -> None:
    for service in sorted((ROOT / "services").iterdir()):
        texts = [path.read_text(encoding="utf-8") for path in service.glob("migrations/*.sql")]
        if any("CREATE TABLE idempotency (" in text for text in texts):
            assert any(RULES in text for text in texts), f"{service.name}: copy common.idempotency.RULES"
