"""What the others hear of card payments: each fact once, in order, in the transaction that makes it true."""

import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from common import deadlines, pg
from contracts import payments as events
from contracts.catalogue import MESSAGES
from contracts.envelope import Envelope
from payments.domain.accounts import uncleared
from payments.domain.cards import Act, CardPaymentId, OperationState, Standing, Told
from payments.service import card_effects
from payments.service.cards import card_deadlines

from services.payments.tests.card_scene import captured, found, hear, once, pay, refund, settle_down, shown
from services.payments.tests.world import World, new_player, pesos


async def told(here: World, payment_id: CardPaymentId) -> Sequence[events.CardPaymentEvent]:
    """The events about a payment, in order, each read as its contract says.

    They are of one key, and of one subject none has the sequence of an earlier one.
    """
    payment, _ = await found(here, payment_id)
    rows = await here.owner.fetch(
        "SELECT body FROM outbox WHERE aggregate = $1 AND exchange = 'events' ORDER BY id", payment.reference
    )
    seen: dict[str, int] = {}
    read = []
    for row in rows:
        envelope = Envelope.model_validate_json(row["body"])
        assert envelope.partitionkey == payment.reference
        assert envelope.sequence > seen.get(envelope.subject, 0), envelope
        seen[envelope.subject] = envelope.sequence
        event = MESSAGES[envelope.type].model_validate(envelope.data)
        assert isinstance(event, events.CardPaymentEvent)
        assert (event.card_payment_id, event.user_id) == (payment.id, payment.player)
        assert payment.card_token not in row["body"]
        read.append(event)
    return read


async def kinds(here: World, payment_id: CardPaymentId) -> list[str]:
    """The nouns and verbs of the events about a payment, in order."""
    return [each.type.removeprefix("payments.").removesuffix(".v1") for each in await told(here, payment_id)]


async def test_a_card_payment_is_told_from_the_wish_to_the_spendable_money(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    await here.run_cards()
    payment, operations = await found(here, payment_id)
    requested, authorized, booked, settled, cleared = await told(here, payment_id)
    assert requested == events.CardRequested(
        card_payment_id=payment_id, user_id=player, amount="100.00", currency="MXN", requested_at=payment.created_at
    )  # fmt: skip
    assert authorized == events.CardAuthorized(
        card_payment_id=payment_id, user_id=player, amount="100.00", currency="MXN", expires_at=payment.stands_until
    )  # fmt: skip
    capture = {"card_payment_id": payment_id, "user_id": player, "capture_id": operations[Act.CAPTURE].id}
    assert booked == events.CaptureBooked(**capture, amount="100.00", currency="MXN")
    assert settled == events.CaptureSettled(**capture, amount="100.00", currency="MXN")
    assert cleared == events.CaptureCleared(**capture)


async def test_captures_in_parts_are_told_apart(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    for amount in ("60.00", "30.00"):
        await here.card_requests.capture("c", payment_id, pesos(amount), once(), shown)
    await here.run_cards()
    parts = [each for each in await told(here, payment_id) if isinstance(each, events.CaptureBooked)]
    assert sorted(each.amount for each in parts) == ["30.00", "60.00"]
    assert len({each.capture_id for each in parts}) == 2


async def test_a_declined_card_is_told_with_the_reason(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", token="declined")
    await here.run_cards()
    assert await kinds(here, payment_id) == ["card.requested", "card.declined"]
    declined = (await told(here, payment_id))[1]
    assert isinstance(declined, events.CardDeclined)
    assert declined.reason == "card_declined"


async def test_a_void_is_told(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    await here.card_requests.void("c", payment_id, once(), shown)
    await here.run_cards()
    assert await kinds(here, payment_id) == ["card.requested", "card.authorized", "card.voided"]


async def test_an_expiry_is_told(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    worker = deadlines.DeadlineWorker(here.pool, card_deadlines(here.clock), clock=here.clock)
    here.clock.forward(timedelta(days=8))
    await worker.turn()
    await worker.turn()
    assert await kinds(here, payment_id) == ["card.requested", "card.authorized", "card.expired"]


async def test_a_lie_about_a_capture_is_told_and_no_booking(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(wrong_amount=1.0)
    await here.card_requests.capture("c", payment_id, pesos("80.00"), once(), shown)
    await settle_down(here)
    assert await kinds(here, payment_id) == ["card.requested", "card.authorized", "card.conflicted"]
    conflict = (await told(here, payment_id))[2]
    assert isinstance(conflict, events.CardConflicted)
    assert (conflict.act, conflict.reason) == ("capture", "wrong-amount")


async def test_a_capture_that_failed_is_told_and_that_the_authorization_stands(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(timeout_before=1.0)
    await here.card_requests.capture("c", payment_id, pesos("80.00"), once(), shown)
    await here.run_cards()
    await here.psp.faults()
    payment, operations = await found(here, payment_id)
    capture = operations[Act.CAPTURE]
    words = "no " * 200  # more than a text of a contract may have
    said = Told("op_1", str(capture.id), "capture", payment.psp_id, "80.00", "MXN", Standing.FAILED, words)
    assert await here.cards.hear(said, capture.id)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.FAILED
    assert await kinds(here, payment_id) == [
        "card.requested", "card.authorized", "card.authorized", "capture.failed"
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "end"), [("ok", "refund.booked"), ("refundfails", "refund.failed")])
async def test_a_refund_is_told_from_the_wish_to_its_end(here: World, kind: str, end: str) -> None:
    payment_id = await captured(here, new_player(), "100.00", kind=kind)
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    assert (await kinds(here, payment_id))[3:] == ["refund.requested", end]


async def test_a_refund_the_ledger_refuses_is_told_as_failed(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    here.ledger.balances[uncleared(player)] -= 100  # spent, for all the ledger says
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    failed = (await told(here, payment_id))[-1]
    assert isinstance(failed, events.RefundFailed)
    assert (failed.amount, failed.reason) == ("40.00", "insufficient-funds")


async def test_a_refund_that_fails_after_it_was_booked_is_told_once(here: World) -> None:
    payment_id = await captured(here, new_player(), "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(refund_fails_after_success=1.0)
    (changed,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    for _ in range(3):
        await hear(here, changed["id"])
    assert (await kinds(here, payment_id))[3:] == ["refund.requested", "refund.booked", "refund.failed"]


async def test_a_dispute_is_told_once(here: World) -> None:
    payment_id = await captured(here, new_player(), "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(dispute_during_refund=1.0)
    (dispute,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    for _ in range(3):
        await hear(here, dispute["id"])
    disputes = [each for each in await told(here, payment_id) if isinstance(each, events.CardDisputed)]
    assert [(each.dispute, each.step) for each in disputes] == [(dispute["id"], "dispute")]


async def test_what_did_not_commit_is_not_told(here: World) -> None:
    """The event is a row of the same transaction: a crash before its commit leaves neither."""
    payment_id = await pay(here, new_player(), "100.00")
    while not await here.owner.fetchval("SELECT count(*) FROM proof"):
        for operation in await here.cards.lease(4):
            await here.cards.advance(operation)
    payment, operations = await found(here, payment_id)
    before = operations[Act.CAPTURE]
    after = before.to(OperationState.BOOKED)

    async def killed_before_the_commit() -> None:
        async with pg.transaction(here.pool) as conn:
            await card_effects.write(conn, payment, before, after, "booked", None, here.clock(), None)
            raise RuntimeError("killed here")

    with pytest.raises(RuntimeError, match="killed here"):
        await killed_before_the_commit()
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.CONFIRMED
    assert "capture.booked" not in await kinds(here, payment_id)


async def test_answer_and_event_of_the_ledger_tell_one_booking(here: World) -> None:
    """The worker's own answer and the ledger's event about the same entry come in any order, and both come."""
    payment_id = await captured(here, new_player(), "100.00")
    receipt = await here.owner.fetchval("SELECT receipt_id FROM proof")
    for _ in range(3):
        async with pg.transaction(here.pool) as conn:
            await here.proofs.hear_booked(conn, receipt, uuid4())
    rows = await here.owner.fetch("SELECT body FROM outbox WHERE routing_key = 'payments.capture.booked.v1'")
    assert [json.loads(row["body"])["data"]["amount"] for row in rows] == ["100.00"]
    assert (await kinds(here, payment_id)).count("capture.booked") == 1
