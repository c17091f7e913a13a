"""Holds over HTTP and on the deadline: never more than was held, never twice, never by someone who came late."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from common.deadlines import DeadlineWorker
from common.testing import Database
from contracts.envelope import Envelope
from contracts.ledger import HoldCaptured, HoldExpired, HoldOpened, HoldReleased
from ledger.expiry import KIND, expiry

from services.ledger.tests.door import Json
from services.ledger.tests.shop import CASH, FEES, Desk, Shop, open_shop, slug
from services.ledger.tests.vocabulary import PRINCIPAL, assert_sound, connected, posted, refused

ROOT = Path(__file__).resolve().parents[3]
ANA, BETO = "liabilities/ana", "liabilities/beto"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def body(amount: str = "10.00", account: str = ANA, **more: object) -> Json:
    return {"account": account, "amount": amount, "currency": "USD", "reference": "orders/1", **more}


async def opened(desk: Desk, amount: str = "10.00", **more: object) -> str:
    status, told = await desk.post("/v1/holds", {**body(amount), **more})
    assert status == 201, told
    return str(told["postings"][1]["hold"])


async def state(desk: Desk, hold: str) -> tuple[str, str, str, bool]:
    status, told = await desk.get(f"/v1/holds/{hold}")
    assert status == 200, told
    return told["captured"], told["released"], told["remaining"], told["expired"]


async def test_a_hold_is_captured_in_parts_and_the_rest_released(desk: Desk) -> None:
    await desk.fund(ANA, "100.00")
    hold = await opened(desk, "10.00")
    assert await desk.balance(ANA) == "90.00", "available never counts what is held"
    _, told = await desk.get("/v1/account", account=ANA, currency="USD")
    assert told["held"] == "10.00"
    for amount in ("4.00", "1.50"):
        shares = [{"account": FEES, "amount": amount}, {"account": BETO, "amount": "0.50"}]
        status, told = await desk.post(f"/v1/holds/{hold}/capture", {"to": shares})
        assert (status, len(told["postings"])) == (201, 3)
    assert await state(desk, hold) == ("6.50", "0.00", "3.50", False)
    assert (await desk.post(f"/v1/holds/{hold}/release", {"amount": "1.00"}))[0] == 201
    assert (await desk.post(f"/v1/holds/{hold}/release", {}))[0] == 201
    assert await state(desk, hold) == ("6.50", "3.50", "0.00", False)
    assert (await desk.balance(ANA), await desk.balance(FEES), await desk.balance(BETO)) == (
        "93.50",
        "5.50",
        "1.00",
    )
    status, told = await desk.post(f"/v1/holds/{hold}/release", {})
    assert (status, slug(told)) == (422, "hold-exhausted")


async def test_never_more_than_remains(desk: Desk) -> None:
    await desk.fund(ANA, "100.00")
    hold = await opened(desk, "10.00")
    for path, wanted in (
        ("capture", {"to": [{"account": FEES, "amount": "10.01"}]}),
        ("release", {"amount": "10.01"}),
    ):
        status, told = await desk.post(f"/v1/holds/{hold}/{path}", wanted)
        assert (status, slug(told)) == (422, "hold-exhausted")
    assert await state(desk, hold) == ("0.00", "0.00", "10.00", False)


async def test_a_refused_hold_can_never_be_captured(desk: Desk) -> None:
    await desk.fund(ANA, "5.00")
    wanted = str(uuid4())
    status, told = await desk.post("/v1/holds", body("10.00", hold=wanted), "too-much")
    assert (status, slug(told)) == (422, "insufficient-funds")
    for path, asked in (("capture", {"to": [{"account": FEES, "amount": "1.00"}]}), ("release", {})):
        status, told = await desk.post(f"/v1/holds/{wanted}/{path}", asked)
        assert (status, slug(told)) == (404, "hold-not-found")
    await desk.fund(ANA, "100.00")
    status, told = await desk.post("/v1/holds", body("10.00", hold=wanted), "too-much")
    assert (status, slug(told)) == (422, "insufficient-funds"), "refused once, refused for ever"
    assert (await desk.get(f"/v1/holds/{wanted}"))[0] == 404
    assert await desk.balance(ANA) == "105.00"


async def test_a_repeated_request_gets_the_first_answer(desk: Desk) -> None:
    await desk.fund(ANA, "100.00")
    first = await desk.post("/v1/holds", body("10.00"), "hold")
    again = await desk.post("/v1/holds", body("10.00"), "hold")
    hold = first[1]["postings"][1]["hold"]
    assert first[1]["id"] == hold, "without a name of its own the hold has the entry's"
    for path, asked in (("capture", {"to": [{"account": FEES, "amount": "1.00"}]}), ("release", {})):
        one = await desk.post(f"/v1/holds/{hold}/{path}", asked, path)
        two = await desk.post(f"/v1/holds/{hold}/{path}", asked, path)
        assert (one[0], one[1]["id"]) == (two[0], two[1]["id"])
        assert two[1]["headers"]["Idempotent-Replayed"] == "true"
    assert (again[0], again[1]["id"]) == (201, hold)
    assert await state(desk, hold) == ("1.00", "9.00", "0.00", False)


async def test_el_carrils_accounts_hold_by_their_kinds(desk: Desk) -> None:
    key = await desk.door.key(PRINCIPAL)
    player = str(uuid4())
    asked = {
        "kind": "bet.hold", "account": f"players/{player}/available", "amount": "1.00", "currency": "MXN",
        "reference": f"markets/{uuid4()}",
    }  # fmt: skip
    status, told = await desk.door.ask(key.secret, "POST", "/v1/holds", asked, **{"Idempotency-Key": "a"})
    assert (status, slug(told), told["field"]) == (422, "insufficient-funds", "postings.0.amount")
    late = asked | {"expires_at": "2026-12-01T00:00:00Z"}
    status, told = await desk.door.ask(key.secret, "POST", "/v1/holds", late, **{"Idempotency-Key": "b"})
    assert (status, slug(told), told["field"]) == (422, "template-violation", "expires_at"), (
        "a bet's never end"
    )
    other = asked | {"account": "house/reserve"}
    status, told = await desk.door.ask(key.secret, "POST", "/v1/holds", other, **{"Idempotency-Key": "c"})
    assert (status, slug(told), told["field"]) == (422, "template-violation", "account")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "account"),
        (body(amount="0"), "amount"),
        (body(amount="-1"), "amount"),
        (body(amount="1e3"), "amount"),
        (body(amount="Infinity"), "amount"),
        (body(account="Liabilities/ana"), "account"),
        (body(account="liabilities/ana/"), "account"),
        (body(currency="dollars"), "currency"),
        (body(reference="has blank"), "reference"),
        (body(hold="not a uuid"), "hold"),
        (body(expires_at="tomorrow"), "expires_at"),
        (body(expires_at=4102444800), "expires_at"),
        (body(expires_at="2026-12-01T00:00:00"), "expires_at"),
        (body(expires_at="2999-01-01T00:00:00Z"), "expires_at"),
        (body(expires_at="1999-01-01T00:00:00Z"), "expires_at"),
        (body(metadata={"": "x"}), "metadata"),
        (body(kind="Hold"), "kind"),
        (body(surprise=1), "surprise"),
    ],
)
async def test_bad_input_is_named(desk: Desk, wanted: dict[str, Any], field: str) -> None:
    status, told = await desk.post("/v1/holds", wanted)
    assert (status, told["field"].partition(".")[0]) == (400, field), told


@pytest.mark.parametrize(
    ("path", "wanted", "status", "field"),
    [
        ("capture", {}, 400, "to"),
        ("capture", {"to": []}, 400, "to"),
        ("capture", {"to": [{"account": FEES}]}, 400, "to.0.amount"),
        ("capture", {"to": [{"account": FEES, "amount": "0.00"}]}, 400, "to.0.amount"),
        ("capture", {"to": [{"account": "FEES", "amount": "1"}]}, 400, "to.0.account"),
        ("capture", {"to": [{"account": FEES, "amount": "1"}] * 101}, 400, "to"),
        ("capture", {"to": [{"account": FEES, "amount": "0.001"}]}, 422, "postings.0.amount"),
        ("capture", {"to": [{"account": "players/x", "amount": "1"}]}, 422, "postings.1.account"),
        ("capture", {"to": [{"account": FEES, "amount": "1"}], "kind": "hold.release"}, 422, "postings.1.account"),
        ("capture", {"to": [{"account": FEES, "amount": "1"}], "kind": "hold.expire"}, 403, "kind"),
        ("release", {"amount": 1}, 400, "amount"),
        ("release", {"kind": "hold.capture"}, 422, "drains"),
        ("release", {"kind": "hold.expire"}, 403, "kind"),
        ("release", {"kind": "transfer"}, 422, "drains"),
        ("release", {"kind": "nonsense"}, 422, "kind"),
    ],
)  # fmt: skip
async def test_bad_draws_are_named_and_draw_nothing(
    desk: Desk, path: str, wanted: dict[str, Any], status: int, field: str
) -> None:
    await desk.fund(ANA, "100.00")
    hold = await opened(desk)
    got, told = await desk.post(f"/v1/holds/{hold}/{path}", wanted)
    assert (got, told["field"]) == (status, field), told
    assert await state(desk, hold) == ("0.00", "0.00", "10.00", False)


async def test_a_path_that_is_no_id_names_no_hold(desk: Desk) -> None:
    for path in ("/v1/holds/x", "/v1/holds/00000000-0000-4000-8000-000000000000"):
        assert (await desk.get(path))[0] == 404


# Expiry


def worker_of(shop: Shop) -> DeadlineWorker:
    return DeadlineWorker(shop.pool, {KIND: expiry({shop.ledger: shop.engine.chart})})


async def test_a_hold_that_is_due_goes_back_once(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        hold, later = uuid4(), uuid4()
        assert posted(await shop.engine.post(shop.transfer(CASH, ANA, "100.00")))
        assert posted(await shop.engine.post(shop.hold(ANA, "10.00", hold, expires_at=LONG_AGO)))
        assert posted(
            await shop.engine.post(
                shop.hold(ANA, "7.00", later, expires_at=datetime.now(UTC) + timedelta(days=1))
            )
        )
        assert posted(await shop.engine.post(shop.capture(ANA, "4.00", hold)))
        worker = worker_of(shop)
        assert await worker.turn() == 1
        assert await worker.turn() == 0
        balances = await shop.balances()
        assert (balances[ANA, "USD"], balances[f"held/{ANA}", "USD"]) == (Decimal(89), Decimal(7))
        late = await shop.engine.post(shop.capture(ANA, "1.00", hold))
        assert refused(late) == "hold-exhausted"


async def test_the_application_lets_holds_expire_by_itself(desk: Desk) -> None:
    await desk.fund(ANA, "100.00")
    moment = datetime.now(UTC) + timedelta(seconds=1)
    hold = await opened(desk, "10.00", expires_at=moment.isoformat())
    while (await state(desk, hold))[3] is False:
        await asyncio.sleep(0.1)
    assert datetime.now(UTC) >= moment, "never early"
    assert await state(desk, hold) == ("0.00", "10.00", "0.00", True)
    assert await desk.balance(ANA) == "100.00"


def _entry(hold: str, expires_at: str) -> Json:
    """The same hold, by the route of all entries."""
    legs = [(ANA, "debit", {}), (f"held/{ANA}", "credit", {"hold": hold})]
    return {
        "kind": "hold.open",
        "reference": "orders/1",
        "expires_at": expires_at,
        "postings": [
            {"account": account, "side": side, "amount": "10.00", "currency": "USD", **more}
            for account, side, more in legs
        ],
    }


async def test_a_hold_that_is_over_before_it_begins_is_refused(desk: Desk) -> None:
    await desk.fund(ANA, "100.00")
    past, hold = LONG_AGO.isoformat(), str(uuid4())
    for path, asked in (
        ("/v1/holds", body("10.00", hold=hold, expires_at=past)),
        ("/v1/entries", _entry(hold, past)),
    ):
        for again in (None, "true"):
            status, told = await desk.post(path, asked, f"late:{path}")
            assert (status, slug(told), told["field"]) == (422, "expiry-passed", "expires_at"), told
            assert told.get("replayed") == again, "it is an answer for ever"
    linked = {"groups": [[{**_entry(hold, past), "idempotency_key": "late:batch"}]]}
    _, told = await desk.post("/v1/entries/batch", linked)
    problem = told["groups"][0][0]["problem"]
    assert (problem["status"], problem["type"], problem["field"]) == (
        422,
        "/problems/expiry-passed",
        "expires_at",
    )
    assert (await desk.get(f"/v1/holds/{hold}"))[0] == 404
    assert await desk.balance(ANA) == "100.00"


async def test_a_hold_of_which_the_end_has_passed_meanwhile_keeps_its_first_answer(desk: Desk) -> None:
    await desk.fund(ANA, "100.00")
    soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    hold = str(uuid4())
    asked = (("/v1/holds", body("10.00", expires_at=soon)), ("/v1/entries", _entry(hold, soon)))
    first = [await desk.post(path, wanted, path) for path, wanted in asked]
    assert [status for status, _ in first] == [201, 201], first
    await asyncio.sleep(1.6)
    again = [await desk.post(path, wanted, path) for path, wanted in asked]
    assert [(status, told["id"]) for status, told in again] == [(201, told["id"]) for _, told in first]
    assert {told["headers"]["Idempotent-Replayed"] for _, told in again} == {"true"}
    for path, _ in asked:  # of another amount it is another request, however late
        status, told = await desk.post(path, {**body("11.00", expires_at=soon)} if path == "/v1/holds" else {
            **_entry(str(uuid4()), soon)}, path)  # fmt: skip
        assert (status, slug(told)) == (422, "idempotency-key-reused")


async def test_a_hold_drawn_to_nothing_has_no_deadline_left(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        hold = uuid4()
        await shop.engine.post(shop.transfer(CASH, ANA, "100.00"))
        opening = await shop.engine.post(shop.hold(ANA, "10.00", hold, expires_at=LONG_AGO))
        assert posted(await shop.engine.post(shop.reversal(opening.outcome.id)))  # type: ignore[union-attr] # posted
        async with connected(database, "ledger_reader") as connection:
            assert await connection.fetchval("SELECT state FROM deadline") == "CANCELLED"
        assert await worker_of(shop).turn() == 0


async def test_what_happens_to_a_hold_is_told(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        hold, gone = uuid4(), uuid4()
        await shop.engine.post(shop.transfer(CASH, ANA, "100.00"))
        opening = shop.hold(ANA, "10.00", hold)
        await shop.engine.post_groups([(opening,), (shop.hold(ANA, "5.00", gone, expires_at=LONG_AGO),)])
        await shop.engine.post_groups(
            [(shop.capture(ANA, "4.00", hold),), (shop.capture(ANA, "1.00", hold),)]
        )
        await shop.engine.post(shop.release(hold))
        await worker_of(shop).turn()
        async with connected(database, "ledger_relay") as connection:
            rows = await connection.fetch(
                "SELECT body::text FROM outbox WHERE body ->> 'type' LIKE 'ledger.hold%' ORDER BY id"
            )
        told = [Envelope.model_validate_json(row["body"]) for row in rows]
        first = next(each.read(HoldOpened) for each in told if each.subject == f"holds/{hold}")
        assert (first.account, first.origin, first.amount, first.remaining) == (
            f"held/{ANA}",
            ANA,
            "10.00",
            "10.00",
        )
        captured = [each.read(HoldCaptured) for each in told if each.type == HoldCaptured.type]
        assert sorted((each.amount, each.captured, each.remaining) for each in captured) in (
            [("1.00", "1.00", "9.00"), ("4.00", "5.00", "5.00")],
            [("1.00", "5.00", "5.00"), ("4.00", "4.00", "6.00")],
        )
        released = next(each.read(HoldReleased) for each in told if each.type == HoldReleased.type)
        assert (released.amount, released.captured, released.released, released.remaining) == (
            "5.00", "5.00", "5.00", "0.00"
        )  # fmt: skip
        expired = next(each.read(HoldExpired) for each in told if each.type == HoldExpired.type)
        assert (expired.hold, expired.principal, expired.amount, expired.expires_at) == (
            gone, "ledger", "5.00", LONG_AGO
        )  # fmt: skip
        assert len(told) == len({each.id for each in told}) == 6
        assert json.loads(rows[0]["body"])["data"]["expires_at"] is None


async def test_everybody_wants_the_same_hold(database: Database) -> None:
    """Two engines, two expiry workers: capture, release, expire and reverse race for each of 30 holds."""
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        other = await open_shop(database, stack, shop.ledger)
        await shop.engine.post(shop.transfer(CASH, ANA, "1000.00"))
        holds = [uuid4() for _ in range(30)]
        openings = await shop.engine.post_groups(
            [(shop.hold(ANA, "10.00", hold, expires_at=LONG_AGO),) for hold in holds]
        )
        workers = [worker_of(shop), worker_of(other)]

        async def expire(worker: DeadlineWorker) -> None:
            for _ in range(40):
                await worker.turn()
                await asyncio.sleep(0.002)

        async def fight(hold: UUID, entry: UUID) -> list[str]:
            answers = await asyncio.gather(
                shop.engine.post(shop.capture(ANA, "10.00", hold)),
                other.engine.post(shop.capture(ANA, "6.00", hold)),
                other.engine.post(shop.release(hold)),
                shop.engine.post(shop.reversal(entry)),
                shop.engine.post(shop.capture(ANA, "6.00", hold, ANA, kind="hold.release")),
                other.engine.post(shop.reversal(entry)),
            )
            return [refused(answer) for answer in answers]

        ids = [answer.outcome.id for (answer,) in openings]  # type: ignore[union-attr] # posted
        async with asyncio.TaskGroup() as group:
            for worker in workers:
                group.create_task(expire(worker))
            fights = [group.create_task(fight(hold, entry)) for hold, entry in zip(holds, ids, strict=True)]
        assert {slug for each in fights for slug in each.result()} <= {
            "posted", "hold-exhausted", "already-reversed"
        }  # fmt: skip
        while await workers[0].turn():
            pass
        async with connected(database, "ledger_reader") as connection:
            await assert_sound(connection)
            left = await connection.fetch(
                "SELECT id FROM hold WHERE remaining <> 0 OR opened <> captured + released OR opened <> 10"
            )
            assert not left
            assert await connection.fetchval("SELECT count(*) FROM deadline WHERE state = 'ARMED'") == 0
            ended = await connection.fetch(
                "SELECT body #>> '{data,hold}' AS hold FROM outbox WHERE body ->> 'type' LIKE 'ledger.hold.%' "
                "AND body #>> '{data,remaining}' = '0.00'"
            )
        assert sorted(row["hold"] for row in ended) == sorted(str(hold) for hold in holds), "each ends once"
        balances = await shop.balances()
        assert balances[f"held/{ANA}", "USD"] == 0
        assert balances[ANA, "USD"] + balances.get((FEES, "USD"), Decimal(0)) == 1000


async def test_killed_before_commit_every_hold_expires_exactly_once(database: Database) -> None:
    """Processes that expire holds and die by SIGKILL at random, two at a time, until nothing is due."""
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        await shop.engine.post(shop.transfer(CASH, ANA, "1000.00"))
        await shop.engine.post_groups(
            [(shop.hold(ANA, "1.00", uuid4(), expires_at=LONG_AGO),) for _ in range(80)]
        )
        crashes = 0

        async def keep_expiring(lane: int) -> None:
            nonlocal crashes
            for life in range(60):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "services.ledger.tests.expiring", database.dsn("ledger_posting"),
                    str(shop.ledger), str(lane * 1000 + life), "0.06", cwd=ROOT, env=dict(os.environ),
                )  # fmt: skip
                if await process.wait() == 0:
                    return
                assert process.returncode == -signal.SIGKILL
                crashes += 1
            raise AssertionError("it never ended")

        await asyncio.gather(keep_expiring(0), keep_expiring(1))
        assert crashes > 0
        async with connected(database, "ledger_reader") as connection:
            await assert_sound(connection)
            assert await connection.fetchval("SELECT count(*) FROM entry WHERE kind = 'hold.expire'") == 80
            assert (
                await connection.fetchval("SELECT count(*) FROM hold WHERE expired AND remaining = 0") == 80
            )
            assert await connection.fetchval("SELECT count(*) FROM deadline WHERE state <> 'DONE'") == 0
        assert (await shop.balances())[ANA, "USD"] == 1000
