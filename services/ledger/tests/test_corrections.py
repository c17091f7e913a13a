"""Reversals: once, whole, of what may be reversed. Several currencies. Closed accounts. Times of effect."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from common.errors import DomainError
from common.testing import Database
from contracts.envelope import Envelope
from contracts.ledger import LedgerAccountClosed
from ledger.domain.commands import Command
from ledger.service import AccountKeeping

from services.ledger.tests.shop import CASH, FEES, OWN, RENT, Desk, open_shop, slug, transfer_body
from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    Bank,
    a_key,
    assert_sound,
    connected,
    deposit,
    hold,
    match,
    posted,
    refused,
    release,
    settle,
)

ANA, BETO = "liabilities/ana", "liabilities/beto"


async def test_a_reversal_mirrors_its_entry_once(desk: Desk) -> None:
    entry = await desk.fund(ANA, "10.00")
    path = f"/v1/entries/{entry['id']}/reversal"
    status, told = await desk.post(path, {"metadata": {"why": "typed twice"}}, "undo")
    assert status == 201
    assert told["reverses"] == entry["id"]
    assert told["reference"] == entry["reference"]
    mirrored = [(leg["account"], leg["side"], leg["amount"], leg["balance"]) for leg in told["postings"]]
    assert mirrored == [(CASH, "credit", "10.00", "0.00"), (ANA, "debit", "10.00", "0.00")]
    again = await desk.post(path, {"metadata": {"why": "typed twice"}}, "undo")
    assert (again[0], again[1]["id"]) == (201, told["id"])
    status, told = await desk.post(path, {}, "undo-again")
    assert (status, slug(told)) == (422, "already-reversed")
    status, told = await desk.post(f"/v1/entries/{again[1]['id']}/reversal", {})
    assert (status, slug(told)) == (422, "not-reversible"), "a reversal is not reversed: post it anew"


async def test_what_was_spent_cannot_be_taken_back(desk: Desk) -> None:
    entry = await desk.fund(ANA, "10.00")
    await desk.post("/v1/entries", transfer_body(ANA, BETO, "4.00"))
    status, told = await desk.post(f"/v1/entries/{entry['id']}/reversal", {})
    assert (status, slug(told)) == (422, "insufficient-funds")
    assert (await desk.balance(ANA), await desk.balance(BETO)) == ("6.00", "4.00")


async def test_a_hold_is_undone_only_untouched(desk: Desk) -> None:
    await desk.fund(ANA, "10.00")
    body = {"account": ANA, "amount": "4.00", "currency": "USD", "reference": "orders/1"}
    touched, untouched = [(await desk.post("/v1/holds", body))[1]["id"] for _ in range(2)]
    await desk.post(f"/v1/holds/{touched}/capture", {"to": [{"account": FEES, "amount": "0.01"}]})
    status, told = await desk.post(f"/v1/entries/{touched}/reversal", {})
    assert (status, slug(told)) == (422, "hold-exhausted")
    assert (await desk.post(f"/v1/entries/{untouched}/reversal", {}))[0] == 201
    _, hold_now = await desk.get(f"/v1/holds/{untouched}")
    assert (hold_now["released"], hold_now["remaining"]) == ("4.00", "0.00")
    status, told = await desk.post(
        f"/v1/holds/{untouched}/capture", {"to": [{"account": FEES, "amount": "1.00"}]}
    )
    assert (status, slug(told)) == (422, "hold-exhausted"), "what was reversed cannot be captured"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("x", {}, 404, "id"),
        ("00000000-0000-4000-8000-000000000000", {}, 404, "id"),
        ("{id}", {"effective_at": "yesterday"}, 400, "effective_at"),
        ("{id}", {"effective_at": "1999-01-01T00:00:00Z"}, 400, "effective_at"),
        ("{id}", {"effective_at": "2999-01-01T00:00:00Z"}, 400, "effective_at"),
        ("{id}", {"metadata": {"k": 5}}, 400, "metadata.k"),
        ("{id}", {"reference": "orders/2"}, 400, "reference"),
        ("{id}", {"postings": []}, 400, "postings"),
    ],
)
async def test_bad_input_is_named_and_reverses_nothing(
    desk: Desk, path: str, body: dict[str, Any], status: int, field: str
) -> None:
    entry = await desk.fund(ANA, "10.00")
    got, told = await desk.post(f"/v1/entries/{path.format(id=entry['id'])}/reversal", body)
    assert (got, told["field"]) == (status, field), told
    assert await desk.balance(ANA) == "10.00"


async def test_el_carrils_receipts_settlements_and_draws_are_not_reversed(bank: Bank) -> None:
    one, other, market = await bank.fund(), await bank.fund(), str(uuid4())
    offers = uuid4(), uuid4(), uuid4()

    async def undo(entry: Command) -> str:
        command = Command(1, PRINCIPAL, a_key(), "reversal", (), entry.reference, reverses=entry.id)
        return refused(await bank.engine.post(command))

    receipt = await bank.receipt(one, Decimal(5))
    paid_in = deposit(one, Decimal(5), receipt)
    holds = [hold(one, Decimal(10), market, offers[0]), hold(other, Decimal(10), market, offers[1])]
    spare = hold(one, Decimal(3), market, offers[2])
    drawn = release(one, Decimal(1), market, offers[2])
    matched = match(market, (one, offers[0], Decimal(10)), (other, offers[1], Decimal(10)))
    settled = settle(market, {f"players/{one}/available": Decimal(20)})
    for command in (paid_in, *holds, spare, drawn, matched, settled):
        assert posted(await bank.engine.post(command))
    assert [await undo(each) for each in (paid_in, drawn, matched, settled)] == ["not-reversible"] * 4
    assert [await undo(each) for each in (*holds, spare)] == ["hold-exhausted"] * 3
    fresh = hold(one, Decimal(2), market, uuid4())
    assert posted(await bank.engine.post(fresh))
    assert await undo(fresh) == "posted"
    await bank.check()


async def test_a_principal_reverses_only_what_it_may_post(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        entry = await shop.engine.post(shop.transfer(CASH, ANA, "1.00"))
        async with connected(database, "superuser") as connection:
            await connection.execute(
                "INSERT INTO principal (ledger_id, name, kinds) VALUES ($1, 'narrow', '{reversal}')",
                shop.ledger,
            )
        command = Command(
            shop.ledger,
            "narrow",
            a_key(),
            "reversal",
            (),
            "orders/1",
            reverses=entry.outcome.id,  # type: ignore[union-attr] # posted
        )
        assert refused(await shop.engine.post(command)) == "kind-not-permitted"


async def test_one_entry_is_reversed_by_one_of_many(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        other = await open_shop(database, stack, shop.ledger)
        entry = await shop.engine.post(shop.transfer(CASH, ANA, "1.00"))
        id = entry.outcome.id  # type: ignore[union-attr] # posted
        answers = await asyncio.gather(
            *((shop, other)[n % 2].engine.post(shop.reversal(id)) for n in range(40))
        )
        told = sorted(refused(answer) for answer in answers)
        assert told == ["already-reversed"] * 39 + ["posted"]
        async with connected(database, "ledger_reader") as connection:
            await assert_sound(connection)


# Several currencies


async def test_an_entry_balances_in_each_of_its_currencies(desk: Desk) -> None:
    def exchange(dollars: str, yen: str, yen_back: str) -> dict[str, Any]:
        legs = [(CASH, "debit", dollars, "USD"), (OWN, "credit", dollars, "USD"),
                (OWN, "debit", yen, "JPY"), (ANA, "credit", yen_back, "JPY")]  # fmt: skip
        return {
            "kind": "transfer", "reference": "orders/1",
            "postings": [{"account": a, "side": s, "amount": m, "currency": c} for a, s, m, c in legs],
        }  # fmt: skip

    status, told = await desk.post("/v1/entries", exchange("10.00", "1500", "1500"))
    assert status == 201
    assert [leg["balance"] for leg in told["postings"]] == ["10.00", "10.00", "-1500", "1500"]
    status, told = await desk.post("/v1/entries", exchange("10.00", "1500", "1499"))
    assert (status, slug(told)) == (422, "unbalanced-entry")
    status, told = await desk.post(
        f"/v1/entries/{(await desk.post('/v1/entries', exchange('1.00', '7', '7')))[1]['id']}/reversal", {}
    )
    assert status == 201
    assert (await desk.balance(ANA, "JPY"), await desk.balance(OWN, "USD")) == ("1500", "10.00")


@pytest.mark.parametrize(
    ("amount", "currency", "accepted"),
    [
        ("1", "JPY", True), ("1.0", "JPY", False), ("1.5", "JPY", False), ("0.001", "KWD", True), ("0.0001", "KWD", False),
        ("0.0001", "CLF", True), ("0.00001", "CLF", False), ("0.001", "USD", False), ("1.00", "EUR", False),
    ],
)  # fmt: skip
async def test_an_amount_has_its_currencys_decimals(
    desk: Desk, amount: str, currency: str, accepted: bool
) -> None:
    status, told = await desk.post("/v1/entries", transfer_body(CASH, ANA, amount, currency))
    if accepted:
        assert (status, told["postings"][0]["amount"]) == (201, amount)
    else:
        assert (status, slug(told)) == (422, "wrong-currency"), told


# Accounts


async def test_an_account_is_closed_empty_and_for_ever(desk: Desk) -> None:
    await desk.fund(ANA, "10.00")
    asked = {"account": ANA, "currency": "USD"}
    status, told = await desk.post("/v1/account/closing", asked)
    assert (status, slug(told), told["field"]) == (409, "account-not-empty", "account")
    body = {"account": ANA, "amount": "10.00", "currency": "USD", "reference": "orders/1"}
    hold_id = (await desk.post("/v1/holds", body))[1]["id"]
    status, told = await desk.post("/v1/account/closing", asked)
    assert (status, slug(told)) == (409, "account-not-empty"), "its money is only held"
    await desk.post(f"/v1/holds/{hold_id}/capture", {"to": [{"account": FEES, "amount": "10.00"}]})
    status, closed = await desk.post("/v1/account/closing", asked)
    assert (status, closed["balance"], closed["closed_at"] is not None) == (200, "0.00", True)
    status, again = await desk.post("/v1/account/closing", asked)
    assert (status, again["closed_at"]) == (200, closed["closed_at"])
    status, told = await desk.post("/v1/entries", transfer_body(CASH, ANA, "1.00"))
    assert (status, slug(told), told["field"]) == (422, "account-closed", "postings.1.account")
    assert (await desk.post("/v1/entries", transfer_body(CASH, ANA, "1", "JPY")))[0] == 201, "another account"
    async with connected(desk.door.database, "ledger_relay") as connection:
        row = await connection.fetchval(
            "SELECT body::text FROM outbox WHERE body ->> 'type' = $1", LedgerAccountClosed.type
        )
    event = Envelope.model_validate_json(row).read(LedgerAccountClosed)
    assert (event.account, event.currency, event.principal) == (ANA, "USD", PRINCIPAL)


async def test_closing_and_posting_at_once_leaves_nothing_behind(database: Database) -> None:
    """Whichever comes first: an account that is closed has zero on it and stays so."""
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        other = await open_shop(database, stack, shop.ledger)
        accounts = AccountKeeping(other.pool)

        async def close(account: str) -> str:
            await asyncio.sleep(0.001)
            try:
                await accounts.close(shop.ledger, PRINCIPAL, account, "USD")
            except DomainError as why:
                return why.slug
            return "closed"

        async def fight(account: str) -> tuple[list[str], str]:
            await shop.engine.post(shop.transfer(CASH, account, "1.00"))
            *answers, closed = await asyncio.gather(
                shop.engine.post(shop.transfer(account, OWN, "1.00")),
                other.engine.post(shop.transfer(CASH, account, "2.00")),
                shop.engine.post(shop.transfer(account, OWN, "2.00")),
                close(account),
            )
            return [refused(answer) for answer in answers], closed

        told = await asyncio.gather(*(fight(f"liabilities/a{n}") for n in range(20)))
        balances = await shop.balances()
        for number, (answers, closed) in enumerate(told):
            assert set(answers) <= {"posted", "insufficient-funds", "account-closed"}
            if closed == "closed":
                assert balances[f"liabilities/a{number}", "USD"] == 0
            else:
                assert closed == "account-not-empty"
        async with connected(database, "ledger_reader") as connection:
            await assert_sound(connection)


async def test_noting_something_about_an_account(desk: Desk) -> None:
    await desk.fund(ANA, "1.00")
    note = {"account": ANA, "currency": "USD", "metadata": {"name": "Ana", "tier": "gold"}}
    status, told = await desk.post("/v1/account/metadata", note, method="PUT")
    assert (status, told["metadata"]) == (200, note["metadata"])
    status, told = await desk.post(
        "/v1/account/metadata", {**note, "metadata": {"tier": "tin"}}, method="PUT"
    )
    assert (status, told["metadata"]) == (200, {"tier": "tin"}), "what was noted before is gone"
    assert (await desk.get("/v1/account", account=ANA, currency="USD"))[1]["metadata"] == {"tier": "tin"}
    status, told = await desk.post("/v1/account/metadata", {**note, "account": BETO}, method="PUT")
    assert (status, slug(told)) == (404, "account-not-found")


@pytest.mark.parametrize("path", ["/v1/account/closing", "/v1/account/metadata"])
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"account": "A"}, "account"), ({"account": ""}, "account"), ({"account": None}, "account"),
        ({"currency": "usd"}, "currency"), ({"currency": 1}, "currency"), ({"more": 1}, "more"),
    ],
)  # fmt: skip
async def test_bad_input_about_accounts_is_named(
    desk: Desk, path: str, change: dict[str, Any], field: str
) -> None:
    await desk.fund(ANA, "1.00")
    asked: dict[str, Any] = {
        "account": ANA,
        "currency": "USD",
        **({"metadata": {}} if "metadata" in path else {}),
    }
    status, told = await desk.post(path, asked | change, method="PUT" if "metadata" in path else "POST")
    assert (status, told["field"]) == (400, field), told


# Times


async def test_an_entry_takes_effect_when_it_says_and_is_posted_now(desk: Desk) -> None:
    body = transfer_body(
        CASH, ANA, "1.00", effective_at="2026-03-01T12:00:00+01:00", metadata={"invoice": "7"}
    )
    status, told = await desk.post("/v1/entries", body, "once")
    _, again = await desk.post("/v1/entries", body, "once")
    assert {**again, "headers": None} == {**told, "headers": None}, (
        "repeated, it is the same letter by letter"
    )
    assert (status, told["effective_at"], told["metadata"]) == (201, "2026-03-01T11:00:00Z", {"invoice": "7"})
    posted_at = datetime.fromisoformat(told["posted_at"])
    assert datetime.now(UTC) - posted_at < timedelta(minutes=1)
    plain = (await desk.post("/v1/entries", transfer_body(CASH, ANA, "1.00")))[1]
    assert plain["effective_at"] == plain["posted_at"]
    status, told = await desk.post(
        "/v1/entries", transfer_body(CASH, ANA, "1.00", effective_at="2999-01-01T00:00:00Z")
    )
    assert (status, slug(told), told["field"]) == (400, "moment-out-of-range", "effective_at")


async def test_equity_income_and_expenses_may_cross_zero_others_not(desk: Desk) -> None:
    for debit, credit, status in (
        (OWN, CASH, 422),
        (OWN, ANA, 201),
        (FEES, ANA, 201),
        (BETO, RENT, 422),
        (CASH, RENT, 201),
    ):
        got, told = await desk.post("/v1/entries", transfer_body(debit, credit, "1.00"))
        assert got == status, (debit, credit, told)
