"""Card payments on the real database and the real (simulated) provider: the ways they go, and their ranks."""

import json
from datetime import timedelta
from decimal import Decimal
from itertools import product

import asyncpg
import pytest
from common import deadlines
from payments.domain import cards
from payments.domain.accounts import available, uncleared
from payments.domain.cards import Act, OperationState, PaymentState
from payments.service.cards import card_deadlines

from services.payments.tests.card_scene import RECEIVABLE, captured, found, once, pay, shown, state_of
from services.payments.tests.world import World, new_player, pesos


async def test_a_payment_is_captured_booked_settled_and_cleared(here: World) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    await here.run_cards()
    payment, operations = await found(here, payment_id)
    assert (payment.state, operations[Act.CAPTURE].state) == (PaymentState.CAPTURED, OperationState.BOOKED)
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert here.ledger.balance(available(player)) == 0
    await here.psp.ask("POST", "/control/payout")
    assert await here.settlements.import_new() == 1
    await here.run_cards()
    payment, operations = await found(here, payment_id)
    assert (payment.state, operations[Act.CAPTURE].state) == (PaymentState.SETTLED, OperationState.CLEARED)
    assert here.ledger.balance(uncleared(player)) == 0
    assert here.ledger.balance(available(player)) == Decimal("100.00")
    assert here.ledger.balance(RECEIVABLE) == 0
    assert (here.ledger.balance("bank/spei"), here.ledger.balance("fees/chaos")) == (
        Decimal("96.40"),
        Decimal("3.60"),
    )
    assert await here.settlements.import_new() == 0


async def test_an_authorization_posts_nothing(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    payment, _ = await found(here, payment_id)
    assert payment.state is PaymentState.AUTHORIZED
    assert here.ledger.entries == {}
    armed = await here.owner.fetchval("SELECT due_at FROM deadline WHERE subject = $1", payment.reference)
    assert armed == payment.expires_at


async def test_captures_in_parts_never_exceed_the_authorization(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    for amount in ("60.00", "30.00"):
        assert (await here.card_requests.capture("c", payment_id, pesos(amount), once(), shown)).status == 202
    refused = await here.card_requests.capture("c", payment_id, pesos("10.01"), once(), shown)
    assert json.loads(refused.body)["type"] == "/problems/capture-impossible"
    await here.run_cards()
    payment, _ = await found(here, payment_id)
    assert (payment.state, payment.captured) == (PaymentState.CAPTURED, pesos("90.00"))
    assert here.ledger.kinds().count("card.capture") == 2


async def test_a_declined_card_pays_nothing(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", token="declined")
    await here.run_cards()
    payment, _ = await found(here, payment_id)
    assert (payment.state, payment.reason) == (PaymentState.DECLINED, "card_declined")
    assert here.ledger.entries == {}


async def test_a_void_gives_up_what_was_not_captured(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    assert (await here.card_requests.void("c", payment_id, once(), shown)).status == 202
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.VOIDED
    refused = await here.card_requests.capture("c", payment_id, pesos("1.00"), once(), shown)
    assert json.loads(refused.body)["type"] == "/problems/capture-impossible"


async def test_an_authorization_expires_by_its_deadline(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    worker = deadlines.DeadlineWorker(here.pool, card_deadlines(here.clock), clock=here.clock)
    await worker.turn()
    assert await state_of(here, payment_id) is PaymentState.AUTHORIZED, "not early"
    here.clock.forward(timedelta(days=8))
    assert await worker.turn() == 1
    assert await state_of(here, payment_id) is PaymentState.EXPIRED
    assert await worker.turn() == 0, "not twice"


async def test_uncleared_money_is_not_withdrawn_and_card_money_goes_back_to_the_card(here: World) -> None:
    player = new_player()
    await here.deposited(player, "10.00")
    await captured(here, player, "100.00")
    refused = await here.withdraw(player, "5.00")
    assert json.loads(refused.body)["type"] == "/problems/card-money-returns-to-card"


async def test_the_history_says_who_asked(here: World) -> None:
    """A cashier alone may capture, void and refund: so it stays known which one did."""
    player = new_player()
    paid = await captured(here, player, "100.00")
    taken, left = [await pay(here, player, "50.00", capture=False) for _ in range(2)]
    await here.run_cards()
    await here.card_requests.capture("cashier-1", taken, pesos("20.00"), once(), shown)
    await here.card_requests.void("cashier-2", left, once(), shown)
    await here.card_requests.refund("cashier-3", None, paid, pesos("30.00"), once(), shown)
    asked = await here.owner.fetch(
        "SELECT h.answer ->> 'act' AS act, h.person FROM history h WHERE h.event = 'requested' ORDER BY h.id"
    )
    assert [(row["act"], row["person"]) for row in asked if row["person"]] == [
        (Act.CAPTURE, "cashier-1"),
        (Act.VOID, "cashier-2"),
        (Act.REFUND, "cashier-3"),
    ]


async def test_domain_and_database_know_the_same_steps(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT act, before, after FROM card_step WHERE before <> ''")
    known = {(Act(row["act"]), OperationState(row["before"]), OperationState(row["after"])) for row in rows}
    assert known == {step for step in product(Act, OperationState, OperationState) if cards.may_step(*step)}
    ranks = await owner.fetch("SELECT state, rank FROM card_rank")
    assert {PaymentState(row["state"]): row["rank"] for row in ranks} == dict(cards.RANKS)


async def test_no_payment_falls_back_in_the_database_either(here: World) -> None:
    payment_id = await captured(here, new_player(), "100.00")
    async with here.pool.acquire() as conn:
        for state in ("AUTHORIZED", "CREATED", "AUTHORIZING"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
                await conn.execute("UPDATE card_payment SET state = $2 WHERE id = $1", payment_id, state)
            assert refusal.value.constraint_name == "card_payment_keeps_its_rank"
        for column in ("captured", "capturing", "refunding"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"UPDATE card_payment SET {column} = 0")


def test_no_payment_falls_back_in_rank() -> None:
    """But from an attempt that failed, or because a capture turns out to have happened."""
    allowed = {
        (PaymentState.VOIDING, PaymentState.AUTHORIZED),
        (PaymentState.CAPTURING, PaymentState.AUTHORIZED),
        *product((PaymentState.VOIDED, PaymentState.EXPIRED), (PaymentState.CAPTURED, PaymentState.SETTLED)),
    }
    for before, after in product(PaymentState, PaymentState):
        if (before, after) not in allowed and cards.RANKS[after] < cards.RANKS[before]:
            assert not cards.may_become(before, after), (before, after)
    for end in (PaymentState.DECLINED, PaymentState.CONFLICTED):
        assert not any(cards.may_become(end, after) for after in PaymentState)
