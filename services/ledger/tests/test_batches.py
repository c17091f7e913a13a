"""Many entries in one request: linked ones all or none, independent ones each for itself."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from secrets import token_hex
from typing import Any

import pytest
from common.testing import Database
from contracts.ledger_batches import MAX_ENTRIES, MAX_LINKED, BatchView
from ledger.domain.chart import Side
from ledger.domain.commands import linked
from ledger.engine.batch import NETS_DISAGREED
from ledger.engine.memory import Memory

from services.ledger.tests.door import Json
from services.ledger.tests.shop import CASH, FEES, OWN, Desk, open_shop, slug, transfer_body
from services.ledger.tests.vocabulary import a_key, assert_sound, connected, posted, refused

BATCH = "/v1/entries/batch"
ANA, BETO = "liabilities/ana", "liabilities/beto"


def entry(debit: str, credit: str, amount: str, key: str | None = None, **more: object) -> Json:
    return {**transfer_body(debit, credit, amount), **more, "idempotency_key": key or a_key()}


def statuses(told: Json) -> list[list[int]]:
    return [[result["status"] for result in group] for group in told["groups"]]


async def test_a_thousand_entries_in_one_request(desk: Desk) -> None:
    groups = [[entry(CASH, ANA, "1.00")] for _ in range(MAX_ENTRIES)]
    status, told = await desk.post(BATCH, {"groups": groups})
    assert status == 200
    assert statuses(told) == [[201]] * MAX_ENTRIES
    assert BatchView.model_validate(told).groups[0][0].entry is not None
    sequences = [group[0]["entry"]["sequence"] for group in told["groups"]]
    assert sorted(sequences) == list(range(1, MAX_ENTRIES + 1))
    balances = {group[0]["entry"]["postings"][1]["balance"] for group in told["groups"]}
    assert balances == {f"{n}.00" for n in range(1, MAX_ENTRIES + 1)}, "each tells the balance after itself"
    assert await desk.balance(ANA) == "1000.00"
    again_status, again = await desk.post(BATCH, {"groups": groups})
    assert again_status == 200
    assert all(group[0]["replayed"] for group in again["groups"])
    assert [group[0]["entry"] for group in again["groups"]] == [group[0]["entry"] for group in told["groups"]]


async def test_linked_entries_happen_all_or_none(desk: Desk) -> None:
    await desk.fund(ANA, "10.00")
    groups = [
        [entry(ANA, BETO, "4.00"), entry(ANA, BETO, "7.00", "guilty"), entry(CASH, BETO, "1.00")],
        [entry(ANA, BETO, "2.00"), entry(ANA, FEES, "3.00")],
    ]
    status, told = await desk.post(BATCH, {"groups": groups})
    assert status == 200
    assert statuses(told) == [[422, 422, 422], [201, 201]]
    problems = [result["problem"]["type"].removeprefix("/problems/") for result in told["groups"][0]]
    assert problems == ["linked-refused", "insufficient-funds", "linked-refused"]
    problem = BatchView.model_validate(told).groups[0][0].problem
    assert problem is not None
    assert problem.status == 422
    assert "guilty" in told["groups"][0][0]["problem"]["detail"]
    first, second = (result["entry"] for result in told["groups"][1])
    assert first["link"] == second["link"] is not None
    assert second["sequence"] == first["sequence"] + 1
    assert (await desk.balance(ANA), await desk.balance(BETO)) == ("5.00", "2.00")
    await desk.fund(ANA, "100.00")
    _, again = await desk.post(BATCH, {"groups": groups})
    assert statuses(again) == statuses(told), "a refusal is for ever, for all that were linked"
    assert all(result["replayed"] for group in again["groups"] for result in group)


async def test_the_refusals_of_a_batch_are_written_at_once_and_told_one_by_one(desk: Desk) -> None:
    """In one statement: each of its own would lock the head again and queue its event by itself."""
    await desk.fund(ANA, "5.00")
    groups = [[entry(ANA, BETO, f"{n}.00")] for n in range(1, 31)]
    _, told = await desk.post(BATCH, {"groups": groups})
    assert sum(status == [201] for status in statuses(told)) == 2, (
        "one and two; then there is too little for three"
    )
    _, again = await desk.post(BATCH, {"groups": [*groups, [entry(CASH, BETO, "1.00")]]})
    assert statuses(again) == [*statuses(told), [201]]
    async with connected(desk.door.database, "superuser") as connection:
        stored = await connection.fetch(
            "SELECT idempotency_key, problem->>'detail' AS detail, refused_at FROM refusal WHERE ledger_id = $1",
            desk.ledger,
        )
        events = await connection.fetch(
            "SELECT body->'data'->>'idempotency_key' AS key FROM outbox WHERE routing_key LIKE 'ledger.post.refused.%'"
        )
    assert len({row["refused_at"] for row in stored}) == 1
    refused_keys = sorted(group[0]["idempotency_key"] for group in groups[2:])
    assert (
        sorted(row["idempotency_key"] for row in stored)
        == sorted(row["key"] for row in events)
        == refused_keys
    )
    assert {row["detail"] for row in stored} == {f"{ANA} holds 2.00 USD"}


async def test_a_key_in_another_group_is_another_request(desk: Desk) -> None:
    await desk.fund(ANA, "10.00")
    one, two, three = (entry(ANA, BETO, "1.00", key) for key in ("one", "two", "three"))
    assert statuses((await desk.post(BATCH, {"groups": [[one, two]]}))[1]) == [[201, 201]]
    for other in ([[one]], [[two, one]], [[one, two, three]], [[one, three]], [[three, two]]):
        _, told = await desk.post(BATCH, {"groups": other})
        problems = {result["problem"]["type"] for group in told["groups"] for result in group}
        assert problems == {"/problems/idempotency-key-reused"}, other
    status, told = await desk.post("/v1/entries", transfer_body(ANA, BETO, "1.00"), "one")
    assert (status, slug(told)) == (422, "idempotency-key-reused")
    assert await desk.balance(BETO) == "2.00", "nothing of it was posted, not even what was new"


async def test_a_group_waits_as_a_whole_for_what_is_not_ready(desk: Desk) -> None:
    await desk.fund(ANA, "10.00")
    never = "00000000-0000-4000-8000-000000000000"
    release = {"kind": "hold.release", "reference": "orders/1", "drains": never, "idempotency_key": "later"}
    group = [entry(ANA, BETO, "1.00", "first"), release]
    _, told = await desk.post(BATCH, {"groups": [group]})
    assert statuses(told) == [[409, 409]]
    assert await desk.balance(ANA) == "10.00"
    hold = {"account": ANA, "amount": "2.00", "currency": "USD", "reference": "orders/1", "hold": never}
    assert (await desk.post("/v1/holds", hold))[0] == 201
    _, told = await desk.post(BATCH, {"groups": [group]})
    assert statuses(told) == [[201, 201]], "not ready is no answer"


async def test_correcting_is_reversing_and_reposting(desk: Desk) -> None:
    wrong = await desk.fund(ANA, "70.00")
    reversal = {
        "kind": "reversal", "reverses": wrong["id"], "reference": "orders/1", "idempotency_key": a_key(),
        "metadata": {"because": "a typing error"},
    }  # fmt: skip
    _, told = await desk.post(BATCH, {"groups": [[reversal, entry(CASH, ANA, "7.00")]]})
    assert statuses(told) == [[201, 201]]
    assert await desk.balance(ANA) == "7.00"
    assert told["groups"][0][0]["entry"]["reverses"] == wrong["id"]


GOOD = {**transfer_body(CASH, ANA, "1.00"), "idempotency_key": "k"}
LEG = GOOD["postings"][0]
NO_MOMENTS = (
    "2026-11-21T10:00:00",
    1763719200,
    1763719200.5,
    "1763719200",
    "2026-11-21T10:00:00.1234567Z",
    "2026-11-21",
)
"""Without an offset, seconds since 1970 in three ways, finer than a microsecond, a day."""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "groups"),
        ({"groups": []}, "groups"),
        ({"groups": [[]]}, "groups.0"),
        ({"groups": [GOOD]}, "groups.0"),
        ({"groups": [[GOOD]], "atomic": True}, "atomic"),
        ({"groups": [[GOOD, GOOD]]}, "groups"),
        ({"groups": [[GOOD], [GOOD]]}, "groups"),
        ({"groups": [[GOOD | {"idempotency_key": f"k{n}"} for n in range(MAX_LINKED + 1)]]}, "groups.0"),
        ({"groups": [[GOOD | {"idempotency_key": f"k{n}"}] for n in range(MAX_ENTRIES + 1)]}, "groups"),
        ({"groups": [[{**GOOD, "idempotency_key": ""}]]}, "groups.0.0.idempotency_key"),
        ({"groups": [[{**GOOD, "idempotency_key": "has blank"}]]}, "groups.0.0.idempotency_key"),
        ({"groups": [[{k: v for k, v in GOOD.items() if k != "idempotency_key"}]]}, "groups.0.0.idempotency_key"),
        ({"groups": [[{**GOOD, "kind": "Transfer"}]]}, "groups.0.0.kind"),
        ({"groups": [[{**GOOD, "reference": ""}]]}, "groups.0.0.reference"),
        ({"groups": [[{**GOOD, "metadata": {"a": 1}}]]}, "groups.0.0.metadata.a"),
        *(({"groups": [[{**GOOD, "effective_at": moment}]]}, "groups.0.0.effective_at") for moment in NO_MOMENTS),
        ({"groups": [[GOOD | {"idempotency_key": "ok"}, {**GOOD, "effective_at": "1999-12-31T00:00:00Z"}]]},
         "groups.0.1.effective_at"),
        ({"groups": [[GOOD | {"idempotency_key": "ok"}], [{**GOOD, "effective_at": "2999-01-01T00:00:00Z"}]]},
         "groups.1.0.effective_at"),
        ({"groups": [[{**GOOD, "expires_at": "2999-01-01T00:00:00Z"}]]}, "groups.0.0.expires_at"),
        ({"groups": [[{**GOOD, "reverses": "x"}]]}, "groups.0.0.reverses"),
        ({"groups": [[{**GOOD, "reverses": "00000000-0000-4000-8000-000000000000"}]]}, "groups.0.0.postings"),
        ({"groups": [[{**GOOD, "drains": "00000000-0000-4000-8000-000000000000"}]]}, "groups.0.0.postings"),
        ({"groups": [[{**GOOD, "postings": []}]]}, "groups.0.0.postings"),
        ({"groups": [[{**GOOD, "postings": [LEG]}]]}, "groups.0.0.postings"),
        ({"groups": [[{**GOOD, "postings": [LEG | {"amount": 1}, LEG]}]]}, "groups.0.0.postings.0.amount"),
        ({"groups": [[{**GOOD, "postings": [LEG, LEG | {"amount": "-1"}]}]]}, "groups.0.0.postings.1.amount"),
        ({"groups": [[{**GOOD, "postings": [LEG, LEG | {"amount": "NaN"}]}]]}, "groups.0.0.postings.1.amount"),
        ({"groups": [[{**GOOD, "postings": [LEG, LEG | {"side": "left"}]}]]}, "groups.0.0.postings.1.side"),
        ({"groups": [[{**GOOD, "postings": [LEG, LEG | {"currency": "usd"}]}]]}, "groups.0.0.postings.1.currency"),
        ({"groups": [[{**GOOD, "postings": [LEG, LEG | {"account": "A"}]}]]}, "groups.0.0.postings.1.account"),
        ({"groups": [[{**GOOD, "postings": [LEG, LEG | {"hold": "h"}]}]]}, "groups.0.0.postings.1.hold"),
        ({"groups": [[{**GOOD, "link": "x"}]]}, "groups.0.0.link"),
    ],
)  # fmt: skip
async def test_bad_input_is_named_and_nothing_is_posted(desk: Desk, body: dict[str, Any], field: str) -> None:
    status, told = await desk.post(BATCH, body)
    assert (status, told["field"]) == (400, field), told
    async with connected(desk.door.database, "ledger_reader") as connection:
        assert await connection.fetchval("SELECT count(*) FROM entry") == 0
        assert await connection.fetchval("SELECT count(*) FROM refusal") == 0


async def test_a_request_that_does_not_fit_is_refused_as_a_whole(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        shop.engine._max_queued = 10
        groups = [(shop.transfer(CASH, ANA, "1.00"),) for _ in range(11)]
        with pytest.raises(Exception, match="too many commands") as full:
            await shop.engine.post_groups(groups)
        assert getattr(full.value, "status", None) == 429
        assert await shop.balances() == {}
        answers = await shop.engine.post_groups(groups[:10])
        assert all(posted(answer) for group in answers for answer in group)


async def test_the_database_refuses_only_the_guilty(database: Database) -> None:
    """An engine that believes a transfer may touch held money: the database knows better."""
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        kind = shop.engine.chart.kinds["transfer"]
        held = next(cls for cls in shop.engine.chart.classes if cls.name == "liability.held")
        lax = replace(kind, template=kind.template | {(Side.CREDIT, held.name)})
        classes = tuple(
            replace(cls, requires_hold=False) if cls.name == held.name else cls
            for cls in shop.engine.chart.classes
        )
        chart = replace(
            shop.engine.chart, kinds={**shop.engine.chart.kinds, "transfer": lax}, classes=classes
        )
        shop.engine._memory = Memory(shop.ledger, chart)
        bad = f"held/{ANA}"
        groups = [
            *[(shop.transfer(CASH, ANA, "1.00"),) for _ in range(20)],
            (shop.transfer(CASH, bad, "1.00"),),
            *[(shop.transfer(CASH, BETO, "1.00"),) for _ in range(20)],
            linked(
                [
                    shop.transfer(CASH, ANA, "5.00"),
                    shop.transfer(CASH, bad, "5.00"),
                    shop.transfer(CASH, OWN, "5.00"),
                ]
            ),
            linked([shop.transfer(CASH, ANA, "3.00"), shop.transfer(CASH, BETO, "3.00")]),
        ]
        before = NETS_DISAGREED._value.get()
        answers = await shop.engine.post_groups(groups)
        told = [[refused(answer) for answer in group] for group in answers]
        assert told == [
            *[["posted"]] * 20, ["refused-by-database"], *[["posted"]] * 20, ["refused-by-database"] * 3, ["posted"] * 2
        ]  # fmt: skip
        assert NETS_DISAGREED._value.get() == before + 2
        balances = await shop.balances()
        assert balances[ANA, "USD"] == balances[BETO, "USD"] == 23
        assert not balances.get((OWN, "USD"))
        async with connected(database, "ledger_reader") as connection:
            await assert_sound(connection)
            assert await connection.fetchval("SELECT count(*) FROM refusal") == 0, "a defect is no answer"


@pytest.mark.parametrize("text", ["a\0b", token_hex(10_000)], ids=["no text at all", "too much of it"])
async def test_what_no_column_can_hold_hurts_no_neighbour(database: Database, text: str) -> None:
    """It breaks no rule by name, yet it can no more be written the next time; so its neighbours are not to wait for it."""
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        bad = replace(shop.transfer(CASH, ANA, "1.00"), metadata={"note": text})
        groups = [(shop.transfer(CASH, ANA, "1.00"),), (bad,), (shop.transfer(CASH, BETO, "1.00"),)]
        for _ in range(2):
            answers = await shop.engine.post_groups(groups)
            assert [refused(answer) for (answer,) in answers] == ["posted", "refused-by-database", "posted"]


async def test_a_balance_beyond_the_largest_amount_is_an_answer_and_no_defect(desk: Desk) -> None:
    """What no column can hold is refused before the write, for ever: nobody is paged, and no batch goes by halves."""
    largest, before = "999999999999999999.99", NETS_DISAGREED._value.get()
    assert (await desk.post("/v1/entries", transfer_body(OWN, ANA, largest)))[0] == 201
    body, key = transfer_body(OWN, ANA, "0.01"), a_key()
    for _ in range(2):
        status, told = await desk.post("/v1/entries", body, key)
        assert (status, slug(told), told["field"]) == (422, "balance-too-large", "postings.0.amount")
        await desk.post(
            "/v1/entries", transfer_body(ANA, OWN, "1.00")
        )  # there is room again, and the answer stays
    both = transfer_body("equity/one", BETO, largest)["postings"]
    told = (await desk.post("/v1/entries", {**transfer_body(OWN, ANA, "1.00"), "postings": both * 2}))[1]
    assert slug(told) == "balance-too-large", "its legs are added up"
    assert await desk.balance(ANA) == "999999999999999997.99"
    assert NETS_DISAGREED._value.get() == before


async def test_the_same_group_many_times_at_once_through_two_engines(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        other = await open_shop(database, stack, shop.ledger)
        await shop.engine.post(shop.transfer(CASH, ANA, "100.00"))
        group = linked([shop.transfer(ANA, BETO, "1.00") for _ in range(3)])
        answers = await asyncio.gather(*((shop, other)[n % 2].engine.post_groups([group]) for n in range(60)))
        ids = {tuple(getattr(answer.outcome, "id", None) for answer in told[0]) for told in answers}
        assert len(ids) == 1
        assert sum(not told[0][0].replayed for told in answers) == 1
        assert (await shop.balances())[BETO, "USD"] == 3
