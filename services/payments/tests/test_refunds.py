"""Refunds: held, done, failed, failed after all; what is disputed; captures that are taken back."""

import json
from decimal import Decimal

from payments.domain import cards
from payments.domain.accounts import available, uncleared
from payments.domain.cards import Act, OperationState, PaymentState

from services.payments.tests.card_scene import (
    RECEIVABLE,
    captured,
    cases,
    found,
    hear,
    once,
    pay,
    refund,
    settle_down,
    shown,
    state_of,
)
from services.payments.tests.world import World, new_player, pesos


async def test_a_refund_is_held_then_done(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    assert (await refund(here, payment_id, "40.00")).status == 202
    await here.run_cards()
    _, operations = await found(here, payment_id)
    assert operations[Act.REFUND].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == Decimal("60.00")
    assert here.ledger.balance(RECEIVABLE) == Decimal("60.00")
    assert here.ledger.balance("refunds/chaos/clearing") == 0
    too_much = await refund(here, payment_id, "60.01")
    assert json.loads(too_much.body)["type"] == "/problems/refund-impossible"
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    await here.run_cards()
    assert here.ledger.balance(available(player)) == Decimal("60.00")
    assert here.ledger.balance(uncleared(player)) == 0
    assert here.ledger.balance(RECEIVABLE) == 0


async def test_a_refund_that_fails_gives_the_money_back(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00", kind="refundfails")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    _, operations = await found(here, payment_id)
    assert operations[Act.REFUND].state is OperationState.RELEASED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")


async def test_a_refund_that_fails_after_it_succeeded_is_booked_back(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(refund_fails_after_success=1.0)
    (changed,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    await hear(here, changed["id"])
    _, operations = await found(here, payment_id)
    assert operations[Act.REFUND].state is OperationState.REVERSED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert here.ledger.balance(RECEIVABLE) == Decimal("100.00")
    await hear(here, changed["id"])
    assert here.ledger.kinds().count("refund.returned") == 1
    assert (await refund(here, payment_id, "100.00")).status == 202, "it can be refunded again"


async def test_a_capture_reversed_after_it_was_booked_is_for_a_person(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await here.psp.faults(reversal_after_success=1.0)
    (changed,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    await hear(here, changed["id"])
    _, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].state is OperationState.BOOKED, "a terminal state does not go back"
    assert ("card", "failed-after-success") in await cases(here)


async def test_what_is_disputed_is_not_refunded(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(dispute_during_refund=1.0)
    (dispute,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    for _ in range(2):
        await hear(here, dispute["id"])
    assert ("card", f"dispute:{dispute['id']}") in await cases(here)
    assert (await found(here, payment_id))[1][Act.REFUND].state is OperationState.BOOKED
    assert await here.owner.fetchval("SELECT disputed FROM card_payment WHERE id = $1", payment_id) == 40
    refused = await refund(here, payment_id, "20.01")
    assert json.loads(refused.body)["type"] == "/problems/refund-impossible"
    assert (await refund(here, payment_id, "20.00")).status == 202


async def test_a_capture_that_arrives_after_our_void_is_booked_and_refunded(here: World) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(timeout_before=1.0)
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    await here.run_cards()  # it is on its way, for all we know
    await here.psp.faults()
    await here.card_requests.void("c", payment_id, once(), shown)
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.VOIDED
    _, operations = await found(here, payment_id)
    capture = operations[Act.CAPTURE]
    told = cards.Told(
        "op_late", str(capture.id), "capture", (await found(here, payment_id))[0].psp_id, "100.00", "MXN",
        cards.Standing.SUCCEEDED,
    )  # fmt: skip
    assert await here.cards.hear(told, capture.id)
    async with here.pool.acquire() as conn:
        asked = await conn.fetchval("SELECT count(*) FROM proof WHERE subject_id = $1", capture.id)
    assert asked == 1
    assert await state_of(here, payment_id) is PaymentState.CAPTURED


async def test_a_lie_about_what_was_not_sent_yet_stops_nothing(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await refund(here, payment_id, "40.00")
    payment, operations = await found(here, payment_id)
    asked = operations[Act.REFUND]
    told = cards.Told(
        "op_lie", str(asked.id), "refund", payment.psp_id, "40.00", "MXN", cards.Standing.SUCCEEDED
    )
    assert await here.cards.hear(told, asked.id)
    assert ("card", "object-before-send") in await cases(here)
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.REFUND].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == Decimal("60.00")
