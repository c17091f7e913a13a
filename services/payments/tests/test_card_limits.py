"""No card is asked for more than its player allows themselves, nor while identity does not say."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from common.pg import transaction
from payments.domain.accounts import PlayerId
from payments.domain.cards import Act, CardPaymentId, OperationState, PaymentState
from payments.domain.deposits import DepositState
from payments.domain.play import Period, period_start
from payments.store.cards import CardStore

from services.payments.tests.card_scene import found, once, pay, settle_down, shown, truth
from services.payments.tests.world import World, new_player, pesos


async def declined(here: World, payment_id: CardPaymentId) -> str | None:
    """Why it was declined, with the provider never asked."""
    payment, _ = await found(here, payment_id)
    assert payment.state is PaymentState.DECLINED
    assert await truth(here, payment) == []
    return payment.reason


def limited(here: World, **limits: str) -> PlayerId:
    player = new_player()
    here.identity.deposit_limits[str(player)] = limits
    return player


async def test_who_is_excluded_pays_by_no_card_until_it_is_over(here: World) -> None:
    player = new_player()
    here.identity.blocked_until[str(player)] = here.clock() + timedelta(hours=1)
    refused = await pay(here, player, "100.00")
    await here.run_cards()
    assert await declined(here, refused) == "player-blocked"
    here.clock.forward(timedelta(hours=1))
    accepted = await pay(here, player, "100.00")
    await here.run_cards()
    assert (await found(here, accepted))[0].state is PaymentState.CAPTURED


@pytest.mark.parametrize("period", list(Period))
async def test_the_limit_itself_passes_and_a_centavo_more_does_not(here: World, period: Period) -> None:
    player = limited(here, **{period: "100.00"})
    much, enough = await pay(here, player, "100.01"), await pay(here, player, "100.00")
    await here.run_cards()
    assert await declined(here, much) == "limit-exceeded"
    assert (await found(here, enough))[0].state is PaymentState.CAPTURED


async def test_all_rails_count_together(here: World) -> None:
    player = limited(here, month="500.00")
    await here.deposited(player, "300.00")
    first = await pay(here, player, "150.00")
    await here.run_cards()
    second = await pay(here, player, "50.01")
    await here.run_cards()
    assert (await found(here, first))[0].state is PaymentState.CAPTURED
    assert await declined(here, second) == "limit-exceeded"


async def test_a_payment_with_an_earlier_time_knows_of_what_was_let_through(here: World) -> None:
    """Two servers' clocks differ, and a request may take its time: who is looked at later counts what went before."""
    player = limited(here, day="100.00")
    first = await pay(here, player, "60.00")
    await here.run_cards()
    here.clock.forward(timedelta(seconds=-2))
    second = await pay(here, player, "60.00")
    here.clock.forward(timedelta(seconds=2))
    await here.run_cards()
    assert (await found(here, first))[0].state is PaymentState.CAPTURED
    assert await declined(here, second) == "limit-exceeded"


async def test_whoever_looks_at_a_player_is_waited_for(here: World) -> None:
    player = limited(here, day="100.00")
    first, second = [await pay(here, player, "60.00") for _ in range(2)]
    leased = [operation for _ in range(2) for operation in await here.cards.lease(1)]
    async with transaction(here.pool) as conn:
        await CardStore(conn).one_at_a_time(player)
        looking = [asyncio.create_task(here.cards.advance(operation)) for operation in leased]
        done, _ = await asyncio.wait(looking, timeout=0.5)
        assert not done
        for payment_id in (first, second):
            assert await truth(here, (await found(here, payment_id))[0]) == []
    await asyncio.gather(*looking)
    await here.run_cards()
    states = [(await found(here, each))[0].state for each in (first, second)]
    assert sorted(states) == [PaymentState.CAPTURED, PaymentState.DECLINED]


async def test_of_many_at_once_no_more_pass_than_the_limit_leaves_room_for(here: World) -> None:
    player = limited(here, day="100.00")
    asked = await asyncio.gather(*(pay(here, player, "40.00") for _ in range(8)))
    leased = [operation for _ in range(8) for operation in await here.cards.lease(1)]
    await asyncio.gather(*(here.cards.advance(operation) for operation in leased))
    await here.run_cards()
    states = [(await found(here, each))[0].state for each in asked]
    assert states.count(PaymentState.CAPTURED) <= 2
    assert set(states) == {PaymentState.CAPTURED, PaymentState.DECLINED}


async def test_a_transfer_is_not_booked_on_top_of_a_card_that_is_on_its_way(here: World) -> None:
    """The ledger counts what is booked. What a card was let through for is not, until it is captured."""
    player = limited(here, day="100.00")
    card = await pay(here, player, "60.00", capture=False)
    await here.run_cards()
    assert (await found(here, card))[0].state is PaymentState.AUTHORIZED
    refused = await here.deposited(player, "40.01")
    assert (refused.state, refused.reason) == (DepositState.QUARANTINED, "limit-exceeded")
    assert here.ledger.kinds() == []
    assert (await here.deposited(player, "40.00")).state is DepositState.BOOKED
    await here.card_requests.capture("c", card, pesos("60.00"), once(), shown)
    await here.run_cards()
    assert (await found(here, card))[0].state is PaymentState.CAPTURED


async def test_a_transfer_waits_for_whoever_looks_at_a_card_of_its_player(here: World) -> None:
    player = limited(here, day="100.00")
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "60.00")
    await pay(here, player, "60.00", capture=False)
    (operation,) = await here.cards.lease(1)
    async with transaction(here.pool) as conn:
        store = CardStore(conn)
        payment = await store.payment_for_update(operation.payment_id)
        assert payment is not None
        await store.one_at_a_time(player)
        await here.claim(player, transfer, "60.00")
        await here.verify_all()
        booking = asyncio.create_task(here.book_all())
        done, _ = await asyncio.wait((booking,), timeout=0.5)
        assert not done
        sending = operation.sending(here.clock())
        await store.save_operation(operation, sending, None)
        await store.save_payment(payment.at(PaymentState.AUTHORIZING))
    await booking
    assert here.ledger.kinds() == []


async def test_identity_is_not_asked_about_a_transfer_while_no_card_is_on_its_way(here: World) -> None:
    player = limited(here, day="100.00")
    here.identity.silent = True
    assert (await here.deposited(player, "60.00")).state is DepositState.BOOKED


async def test_while_identity_is_silent_no_card_is_asked(here: World) -> None:
    here.identity.silent = True
    payment_id = await pay(here, new_player(), "100.00")
    await settle_down(here)
    payment, _ = await found(here, payment_id)
    assert payment.state is PaymentState.CREATED
    assert await truth(here, payment) == []
    here.identity.silent = False
    await settle_down(here)
    assert (await found(here, payment_id))[0].state is PaymentState.CAPTURED


async def authorized(here: World, player: PlayerId, amount: str) -> CardPaymentId:
    payment_id = await pay(here, player, amount, capture=False)
    await here.run_cards()
    assert (await found(here, payment_id))[0].state is PaymentState.AUTHORIZED
    return payment_id


async def capture(here: World, payment_id: CardPaymentId, amount: str) -> list[tuple[str, str | None]]:
    """Has so much captured; the operation's state and reason."""
    before = {each.id for each in (await here.card_requests.payment(None, payment_id))[1]}
    answer = await here.card_requests.capture("c", payment_id, pesos(amount), once(), shown)
    assert answer.status == 202
    await here.run_cards()
    _, operations = await here.card_requests.payment(None, payment_id)
    return [(each.state, each.reason) for each in operations if each.id not in before]


async def acts(here: World, payment_id: CardPaymentId) -> list[str]:
    """What the provider was asked for."""
    return [each["act"] for each in await truth(here, (await found(here, payment_id))[0])]


async def test_who_is_excluded_meanwhile_is_not_captured_from(here: World) -> None:
    player = new_player()
    payment_id = await authorized(here, player, "100.00")
    here.identity.blocked_until[str(player)] = here.clock() + timedelta(hours=1)
    assert await capture(here, payment_id, "60.00") == [(OperationState.REFUSED, "player-blocked")]
    payment, _ = await found(here, payment_id)
    assert (payment.state, payment.captured) == (PaymentState.AUTHORIZED, pesos("0.00"))
    assert await acts(here, payment_id) == ["authorize"]
    assert here.ledger.entries == {}
    here.clock.forward(timedelta(hours=1))
    assert await capture(here, payment_id, "60.00") == [(OperationState.BOOKED, None)]


async def test_what_is_captured_at_once_is_given_up_when_its_player_is_excluded_in_between(
    here: World,
) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    (operation,) = await here.cards.lease(1)
    await here.cards.advance(operation)
    here.identity.blocked_until[str(player)] = here.clock() + timedelta(hours=1)
    await here.run_cards()
    payment, operations = await found(here, payment_id)
    assert payment.state is PaymentState.VOIDED
    assert (operations[Act.CAPTURE].state, operations[Act.CAPTURE].reason) == (
        OperationState.REFUSED,
        "player-blocked",
    )
    assert sorted(await acts(here, payment_id)) == ["authorize", "void"]
    assert here.ledger.entries == {}


async def test_a_limit_that_was_lowered_holds_for_what_was_authorised_before(here: World) -> None:
    player = new_player()
    first, second = await authorized(here, player, "60.00"), await authorized(here, player, "60.00")
    here.identity.deposit_limits[str(player)] = {"day": "100.00"}
    assert await capture(here, first, "60.00") == [(OperationState.BOOKED, None)]
    beyond = (OperationState.REFUSED, "limit-exceeded")
    assert await capture(here, second, "40.01") == [beyond]
    assert await capture(here, second, "30.00") == [(OperationState.BOOKED, None)]
    assert await capture(here, second, "10.01") == [beyond], "its own parts count"
    assert await capture(here, second, "10.00") == [(OperationState.BOOKED, None)]


async def test_of_captures_at_once_no_more_pass_than_the_limit_leaves_room_for(here: World) -> None:
    player = new_player()
    payments = [await authorized(here, player, "40.00") for _ in range(4)]
    here.identity.deposit_limits[str(player)] = {"week": "100.00"}
    for each in payments:
        await here.card_requests.capture("c", each, pesos("40.00"), once(), shown)
    leased = [operation for _ in payments for operation in await here.cards.lease(1)]
    await asyncio.gather(*(here.cards.advance(operation) for operation in leased))
    await here.run_cards()
    states = [(await found(here, each))[1][Act.CAPTURE].state for each in payments]
    assert sorted(states) == ["BOOKED", "BOOKED", "REFUSED", "REFUSED"]


async def test_a_capture_that_was_sent_is_finished_though_its_player_is_excluded_now(here: World) -> None:
    player = new_player()
    payment_id = await authorized(here, player, "100.00")
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    await here.psp.faults(timeout_after=1.0)
    (operation,) = await here.cards.lease(1)
    await here.cards.advance(operation)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.UNKNOWN
    here.identity.blocked_until[str(player)] = here.clock() + timedelta(days=1)
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.BOOKED


async def test_while_identity_is_silent_nothing_is_captured(here: World) -> None:
    payment_id = await authorized(here, new_player(), "100.00")
    here.identity.silent = True
    assert await capture(here, payment_id, "100.00") == [(OperationState.REQUESTED, None)]
    assert await acts(here, payment_id) == ["authorize"]
    here.identity.silent = False
    await settle_down(here)
    assert (await found(here, payment_id))[0].state is PaymentState.CAPTURED


def test_periods_begin_at_midnight_in_central_mexico() -> None:
    saturday = datetime(2026, 11, 21, 5, 59, tzinfo=UTC)  # Friday, 23:59 there
    assert period_start(Period.DAY, saturday) == datetime(2026, 11, 20, 6, tzinfo=UTC)
    assert period_start(Period.DAY, saturday + timedelta(minutes=1)) == datetime(2026, 11, 21, 6, tzinfo=UTC)
    assert period_start(Period.WEEK, saturday) == datetime(2026, 11, 16, 6, tzinfo=UTC)
    assert period_start(Period.MONTH, saturday) == datetime(2026, 11, 1, 6, tzinfo=UTC)
