"""Withdrawals from the request to the books, on the real database and the real rail."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from common import pg
from common.idempotency import Answer
from payments.domain.accounts import PlayerId, available, withdrawing
from payments.domain.orders import MAX_SENDS
from payments.domain.withdrawals import WithdrawalState
from payments.store.errors import LeaseLost

from services.payments.tests.railhouse import OTHER_SENDER, SENDER
from services.payments.tests.world import PACE, WINDOW, World, new_player


@pytest.fixture
async def player(here: World) -> PlayerId:
    """A player with 500.00, deposited from SENDER."""
    rich = new_player()
    await here.deposited(rich, "500.00")
    return rich


async def state_of(here: World, player: PlayerId, answer: Answer) -> WithdrawalState:
    return (await here.withdrawal(player, answer)).state


async def later(here: World) -> None:
    """Everything that waits is due again, and the rail's window is over."""
    here.clock.forward(max(WINDOW, timedelta(seconds=PACE.longest_seconds)))
    await here.pay_all()


async def test_a_player_is_paid_and_the_books_say_so(here: World, player: PlayerId) -> None:
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    paid = await here.withdrawal(player, answer)
    assert paid.state is WithdrawalState.LIQUIDATED
    assert here.ledger.balance(withdrawing(player)) == Decimal("200.00")
    (command,) = await here.commands()
    assert command.idempotency_key == f"withdrawal:{paid.id}:done"
    assert {leg.hold for leg in command.postings} == {paid.id, None}
    await here.deliver_commands()
    assert await state_of(here, player, answer) is WithdrawalState.BOOKED
    assert here.ledger.balance(withdrawing(player)) == 0
    assert here.ledger.balance(available(player)) == Decimal("300.00")
    assert here.ledger.balance("bank/spei") == Decimal("300.00")
    order = await here.rail_order(paid.id)
    assert order is not None
    assert (order["amount"], order["beneficiary_clabe"], order["status"]) == ("200.00", SENDER, "liquidado")
    assert await here.events(paid.reference) == [
        ("payments.withdrawal.requested.v1", 1),
        ("payments.withdrawal.reserved.v1", 2),
        ("payments.withdrawal.liquidated.v1", 3),
    ]


async def test_the_same_request_again_is_the_same_answer(here: World, player: PlayerId) -> None:
    first = await here.withdraw(player, "200.00", key="one")
    again = await here.withdraw(player, "200.00", key="one")
    assert again.replayed
    assert again.body == first.body
    await here.pay_all()
    assert here.ledger.kinds().count("withdrawal.reserve") == 1


@pytest.mark.parametrize("clabe", [OTHER_SENDER, "646180157000000004"])
async def test_money_goes_only_where_it_came_from(here: World, player: PlayerId, clabe: str) -> None:
    other = new_player()
    await here.deposited(other, "100.00", sender=OTHER_SENDER)
    refused = await here.withdraw(player, "200.00", clabe=clabe)
    assert refused.status == 422
    assert json.loads(refused.body)["type"] == "/problems/clabe-never-deposited"
    assert json.loads(refused.body)["field"] == "clabe"
    assert await here.owner.fetchval("SELECT count(*) FROM withdrawal") == 0


async def test_the_ledger_refuses_what_is_not_there(here: World, player: PlayerId) -> None:
    answer = await here.withdraw(player, "500.01")
    await here.pay_all()
    refused = await here.withdrawal(player, answer)
    assert (refused.state, refused.reason) == (WithdrawalState.REFUSED, "insufficient-funds")
    assert refused.detail
    assert await here.rail_order(refused.id) is None
    assert await here.commands() == []


async def test_withdrawals_together_never_take_more_than_there_is(here: World, player: PlayerId) -> None:
    answers = await asyncio.gather(*(here.withdraw(player, "200.00") for _ in range(5)))
    leased = await here.payouts.lease(16)
    await asyncio.gather(*(here.payouts.advance(withdrawal) for withdrawal in leased))
    states = [await state_of(here, player, answer) for answer in answers]
    assert states.count(WithdrawalState.LIQUIDATED) == 2
    assert states.count(WithdrawalState.REFUSED) == 3
    assert here.ledger.balance(available(player)) == Decimal("100.00")


async def test_an_order_in_process_is_asked_for_until_it_ends(here: World, player: PlayerId) -> None:
    await here.rail.put("/behaviour", {"delay_seconds": 2})
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    assert await state_of(here, player, answer) is WithdrawalState.SENT
    await asyncio.sleep(2)
    await later(here)
    assert await state_of(here, player, answer) is WithdrawalState.LIQUIDATED


async def test_a_rejected_order_gives_the_money_back(here: World, player: PlayerId) -> None:
    await here.rail.put(f"/accounts/{SENDER}", {"state": "closed"})
    try:
        answer = await here.withdraw(player, "200.00")
        await here.pay_all()
    finally:
        await here.rail.put(f"/accounts/{SENDER}", {"state": "open"})
    rejected = await here.withdrawal(player, answer)
    assert (rejected.state, rejected.reason) == (WithdrawalState.REJECTED, "cuenta cancelada")
    await here.deliver_commands()
    assert await state_of(here, player, answer) is WithdrawalState.RELEASED
    assert here.ledger.balance(available(player)) == Decimal("500.00")
    assert here.ledger.kinds()[-1] == "withdrawal.release"


async def test_an_answer_lost_after_the_effect_is_asked_for(here: World, player: PlayerId) -> None:
    """The money has moved and nobody told us: it must be neither sent again nor given back."""
    await here.rail.put("/behaviour", {"lose_orders": "after"})
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    unknown = await here.withdrawal(player, answer)
    assert (unknown.state, unknown.sends) == (WithdrawalState.SEND_UNKNOWN, 1)
    await later(here)
    paid = await here.withdrawal(player, answer)
    assert (paid.state, paid.sends) == (WithdrawalState.LIQUIDATED, 1)


async def test_an_order_lost_before_the_effect_is_sent_again_only_after_the_window(
    here: World, player: PlayerId
) -> None:
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    await here.rail.put("/behaviour", {})
    here.clock.forward(WINDOW - timedelta(seconds=2))
    await here.pay_all()
    waiting = await here.withdrawal(player, answer)
    assert (waiting.state, waiting.sends) == (WithdrawalState.SEND_UNKNOWN, 1)
    assert here.ledger.balance(withdrawing(player)) == Decimal("200.00")
    await later(here)
    paid = await here.withdrawal(player, answer)
    assert (paid.state, paid.sends, paid.clave) == (WithdrawalState.LIQUIDATED, 2, waiting.clave)


async def test_an_order_that_never_arrives_ends_with_a_person(here: World, player: PlayerId) -> None:
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    answer = await here.withdraw(player, "200.00")
    for _ in range(MAX_SENDS + 3):
        await later(here)
    stuck = await here.withdrawal(player, answer)
    assert (stuck.state, stuck.sends) == (WithdrawalState.SEND_UNKNOWN, MAX_SENDS)
    assert stuck.attention == "order-never-arrived"
    assert here.ledger.balance(withdrawing(player)) == Decimal("200.00"), "the hold is kept"
    assert await here.commands() == []


async def test_a_rail_that_is_down_decides_nothing(here: World, player: PlayerId) -> None:
    here.rail.kill()
    answer = await here.withdraw(player, "200.00")
    for _ in range(3):
        await later(here)
    assert await state_of(here, player, answer) is WithdrawalState.SEND_UNKNOWN
    here.rail.start()
    await later(here)
    assert await state_of(here, player, answer) is WithdrawalState.LIQUIDATED


async def test_an_order_of_another_amount_under_our_clave_decides_nothing(
    here: World, player: PlayerId
) -> None:
    answer = await here.withdraw(player, "200.00")
    (leased,) = await here.payouts.lease(16)
    ours = leased.to(WithdrawalState.RESERVED).to(WithdrawalState.APPROVED).sending(here.clock())
    foreign = {
        "clave": ours.clave,
        "ordering_clabe": "646180157000000004",
        "beneficiary_clabe": SENDER,
        "beneficiary_name": "Ana López",
        "amount": "2.00",
    }
    assert (await here.rail.post("/orders", foreign))[0] == 201
    await here.payouts.advance(leased)
    for _ in range(3):
        await later(here)
    stuck = await here.withdrawal(player, answer)
    assert (stuck.state, stuck.attention) == (WithdrawalState.SEND_UNKNOWN, "order-differs")
    assert await here.commands() == []


@pytest.mark.parametrize("loss", ["before", "after"])
async def test_a_reservation_without_an_answer_is_asked_again(
    here: World, player: PlayerId, loss: str
) -> None:
    here.ledger.lose = "before" if loss == "before" else "after"
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    assert await state_of(here, player, answer) is WithdrawalState.REQUESTED
    here.ledger.lose = None
    await later(here)
    assert await state_of(here, player, answer) is WithdrawalState.LIQUIDATED
    assert here.ledger.balance(available(player)) == Decimal("300.00")


async def test_sixteen_workers_with_one_lease_send_one_order(here: World, player: PlayerId) -> None:
    answer = await here.withdraw(player, "200.00")
    (leased,) = await here.payouts.lease(16)
    ended = await asyncio.gather(*(here.payouts.advance(leased) for _ in range(16)), return_exceptions=True)
    assert ended.count(None) == 1
    assert all(end is None or isinstance(end, LeaseLost) for end in ended)
    paid = await here.withdrawal(player, answer)
    assert (paid.state, paid.sends) == (WithdrawalState.LIQUIDATED, 1)
    assert len(await here.commands()) == 1


async def test_a_fact_the_ledger_refuses_is_for_a_person(here: World, player: PlayerId) -> None:
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    paid = await here.withdrawal(player, answer)
    async with pg.transaction(here.pool) as conn:
        await here.payouts.hear_refused(conn, paid.id, {"slug": "hold-exhausted", "detail": "nothing left"})
    held = await here.withdrawal(player, answer)
    assert (held.state, held.attention) == (WithdrawalState.LIQUIDATED, "refused-by-ledger")


async def test_the_history_keeps_every_attempt_and_answer(here: World, player: PlayerId) -> None:
    await here.rail.put("/behaviour", {"lose_orders": "after"})
    answer = await here.withdraw(player, "200.00")
    await here.pay_all()
    await later(here)
    await here.deliver_commands()
    paid = await here.withdrawal(player, answer)
    rows = await here.owner.fetch(
        "SELECT state, event FROM history WHERE subject_id = $1 ORDER BY id", paid.id
    )
    assert [tuple(row) for row in rows] == [
        ("REQUESTED", "requested"),
        ("RESERVED", "reserved"),
        ("APPROVED", "approved"),
        ("SENDING", "sending"),
        ("SEND_UNKNOWN", "rail-silent"),
        ("LIQUIDATED", "liquidated"),
        ("BOOKED", "booked"),
    ]


async def test_workers_that_look_at_once_take_different_withdrawals(here: World, player: PlayerId) -> None:
    for _ in range(12):
        await here.withdraw(player, "1.00")
    taken = await asyncio.gather(*(here.payouts.lease(3) for _ in range(6)))
    ids = [withdrawal.id for some in taken for withdrawal in some]
    assert len(ids) == len(set(ids)) == 12
