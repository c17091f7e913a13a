"""What the provider answers, and what is made of it: nothing is believed, nothing is sent twice, no lie is booked."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from payments.domain import cards
from payments.domain.accounts import uncleared
from payments.domain.cards import Act, CardPaymentId, Operation, OperationState, PaymentState

from services.payments.tests.card_scene import (
    captured,
    cases,
    found,
    hear,
    once,
    pay,
    settle_down,
    shown,
    state_of,
    truth,
)
from services.payments.tests.world import WINDOW, World, new_player, pesos


@pytest.mark.parametrize(
    "fault",
    [
        "timeout_before",
        "timeout_after",
        "reset_mid_body",
        "ok_with_error_body",
        "error_after_success",
        "html_502",
        "conflict_in_progress",
        "query_timeout",
        "query_reset",
        "query_html_502",
        "query_error_body",
        "not_found_after_success",
    ],
)
async def test_whatever_an_answer_looks_like_the_money_moves_once(here: World, fault: str) -> None:
    await here.psp.faults(**{fault: 1.0})
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    await settle_down(here)
    for _ in range(2):  # the provider's lag is over, first for the authorization, then for the capture
        await asyncio.sleep(0.35)
        await settle_down(here)
    payment, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert here.ledger.kinds() == ["card.capture"]
    moved = [each for each in await truth(here, payment) if each["act"] == "capture"]
    assert [each["moved"] for each in moved] == ["100.00"]


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("wrong_amount", "wrong-amount"),
        ("partial_capture", "wrong-amount"),
        ("wrong_currency", "wrong-currency"),
    ],
)
async def test_what_is_not_as_asked_books_nothing(here: World, lie: str, reason: str) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(**{lie: 1.0})
    await here.card_requests.capture("c", payment_id, pesos("80.00"), once(), shown)
    await settle_down(here)
    _, operations = await found(here, payment_id)
    assert (operations[Act.CAPTURE].state, operations[Act.CAPTURE].reason) == (
        OperationState.CONFLICTED,
        reason,
    )
    assert here.ledger.entries == {}
    assert ("card", reason) in await cases(here)


async def test_an_amount_lie_about_the_authorization_is_no_authorization(here: World) -> None:
    await here.psp.faults(wrong_amount=1.0)
    payment_id = await pay(here, new_player(), "100.00")
    await settle_down(here)
    assert await state_of(here, payment_id) is PaymentState.CONFLICTED
    assert here.ledger.entries == {}


async def test_a_second_capture_under_one_key_is_for_a_person(here: World) -> None:
    await here.psp.faults(double_capture=1.0)
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    payment, _ = await found(here, payment_id)
    twice = [each for each in await truth(here, payment) if each["act"] == "capture"]
    for each in twice:
        await hear(here, each["id"])
    assert len(twice) == 2
    assert here.ledger.kinds() == ["card.capture"]
    assert ("card", "second-object") in await cases(here)


async def test_news_of_a_second_object_does_not_stop_a_capture_that_is_being_booked(here: World) -> None:
    """Found by chaos: the conflict came between the confirmation and the booking, and the booking never ended."""
    await here.psp.faults(double_capture=1.0)
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    while not (await found(here, payment_id))[1].get(Act.CAPTURE):
        for operation in await here.cards.lease(1):
            await here.cards.advance(operation)
    (capture,) = await here.cards.lease(1)
    await here.cards.advance(capture)
    payment, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].state is OperationState.CONFIRMED
    for each in await truth(here, payment):
        await hear(here, each["id"])
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert ("card", "second-object") in await cases(here)


def test_absence_counts_only_after_the_window() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    operation = Operation(
        cards.OperationId(uuid4()),
        CardPaymentId(uuid4()),
        Act.CAPTURE,
        pesos("1.00"),
        OperationState.REQUESTED,
        now,
    )
    unknown = operation.sending(now).to(OperationState.UNKNOWN)
    just_before = now + WINDOW - timedelta(microseconds=1)
    assert cards.read_nothing(unknown, now=just_before, window=WINDOW) == cards.StayPut()
    assert cards.read_nothing(unknown, now=now + WINDOW, window=WINDOW) == cards.SendAgain()


async def test_nothing_is_sent_twice_to_a_provider_that_ignores_keys(here: World) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(timeout_after=1.0, key_ignored=1.0)
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    await settle_down(here)
    payment, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].sends == 1
    assert [each["moved"] for each in await truth(here, payment) if each["act"] == "capture"] == ["100.00"]
    assert here.ledger.kinds() == ["card.capture"]


async def test_sixteen_workers_with_one_lease_send_once(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    (leased,) = await here.cards.lease(4)
    ended = await asyncio.gather(*(here.cards.advance(leased) for _ in range(16)), return_exceptions=True)
    assert ended.count(None) == 1
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.CAPTURE].sends == 1
