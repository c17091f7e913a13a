"""What people say of an order that nobody answers for, when its rail has an answer by now."""

from datetime import timedelta
from decimal import Decimal

import pytest
from payments.domain.accounts import available, uncleared
from payments.domain.cards import Act, CardPayment, Operation, OperationState
from payments.domain.cases import Case, Decision
from payments.domain.refusals import DecisionImpossible
from payments.domain.withdrawals import PayoutRail, Withdrawal, WithdrawalState
from payments.psp import CardProvider
from payments.rail import RailSilent
from payments.service.cashier import Verdict
from payments.store.arrivals import ArrivalStore

from services.payments.tests.card_scene import captured, found, refund, settle_down
from services.payments.tests.railhouse import OTHER_SENDER
from services.payments.tests.test_suspense import NOBODYS, SUSPENSE, arrivals, decide, run, the_case
from services.payments.tests.world import World, new_player

NEVER = Verdict(Decision.NEVER_PAID, "the bank knows nothing", None)
PAID = Verdict(Decision.PAID, "the bank says so", None)


async def lost(here: World) -> tuple[Withdrawal, Case]:
    """A withdrawal whose order never arrived, however often it was sent."""
    player = new_player()
    await here.deposited(player, "500.00")
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    answer = await here.withdraw(player, "10.00")
    for _ in range(12):
        await here.pay_all()
        here.clock.forward(timedelta(seconds=60))
    await here.rail.put("/behaviour", {})
    return await here.withdrawal(player, answer), await the_case(here)


@pytest.mark.parametrize("verdict", [NEVER, PAID])
async def test_an_order_that_turned_up_is_not_given_back_by_who_did_not_know(
    here: World, verdict: Verdict
) -> None:
    """The rail got the last of the orders after all, a moment before the second person decides."""
    withdrawal, case = await lost(here)
    await here.propose(case, verdict, "ana")
    await here.payouts._rails[PayoutRail.SPEI].send(withdrawal.order)
    with pytest.raises(DecisionImpossible, match="has an answer by now"):
        await here.approve(case, verdict, "beto")
    here.clock.forward(timedelta(minutes=10))
    await here.pay_all()
    await here.deliver_commands()
    (paid,) = await here.requests.withdrawals(withdrawal.player, None, 5)
    assert paid.state is WithdrawalState.BOOKED
    assert here.ledger.balance(available(withdrawal.player)) == here.ledger.balance("bank/spei") == 490


@pytest.mark.parametrize("verdict", [NEVER, PAID])
async def test_nobody_says_of_an_order_that_is_only_not_answered_yet_what_became_of_it(
    here: World, verdict: Verdict
) -> None:
    """There may be a case about it for another reason, and the order on its way."""
    player = new_player()
    await here.deposited(player, "500.00")
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    answer = await here.withdraw(player, "10.00")
    await here.pay_all()
    withdrawal = await here.withdrawal(player, answer)
    assert withdrawal.state is WithdrawalState.SEND_UNKNOWN
    await here.owner.execute(
        "INSERT INTO review_case (id, subject, subject_id, reason, four_eyes) "
        "VALUES (gen_random_uuid(), 'withdrawal', $1, 'another reason', true)",
        withdrawal.id,
    )
    case = await the_case(here)
    await here.propose(case, verdict, "ana")
    assert (await here.approve(case, verdict, "beto")).status == 409
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.SEND_UNKNOWN


async def test_while_the_rail_is_silent_nobody_says_that_it_was_never_paid(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise RailSilent("no route")

    _, case = await lost(here)
    await here.propose(case, NEVER, "ana")
    rail = here.payouts._rails[PayoutRail.SPEI]
    with monkeypatch.context() as while_it_is:
        while_it_is.setattr(type(rail), "find", silent)
        with pytest.raises(DecisionImpossible, match="cannot be asked"):
            await here.approve(case, NEVER, "beto")
    assert (await here.approve(case, NEVER, "beto")).status == 200


async def test_a_return_that_turned_up_stays_out_of_suspense(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    await decide(here, await the_case(here), Decision.RETURN)
    for _ in range(4):
        await run(here)
    await here.rail.put("/behaviour", {})
    case = await the_case(here)
    await here.propose(case, NEVER, "ana")
    async with here.pool.acquire() as conn:
        arrival = await ArrivalStore(conn).by_id(case.subject_id)
    assert arrival is not None
    await here.payouts._rails[PayoutRail.SPEI].send(arrival.order)
    with pytest.raises(DecisionImpossible, match="has an answer by now"):
        await here.approve(case, NEVER, "beto")
    here.clock.forward(timedelta(minutes=10))
    await run(here)
    assert await arrivals(here) == ["RETURNED"]
    assert here.ledger.balance(SUSPENSE) == here.ledger.balance("bank/spei") == Decimal(0)


async def test_a_refund_that_turned_up_is_not_given_back(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Operation, CardPayment]] = []
    honest = CardProvider.send

    async def dropped(_: CardProvider, operation: Operation, payment: CardPayment) -> None:
        sent.append((operation, payment))
        raise RailSilent("no route")

    player = new_player()
    payment_id = await captured(here, player, "70.00")
    monkeypatch.setattr(CardProvider, "send", dropped)
    await refund(here, payment_id, "70.00")
    for _ in range(4):
        await settle_down(here)
    case = await the_case(here)
    await here.propose(case, NEVER, "ana")
    await honest(here.disputes._provider, *sent[-1])
    with pytest.raises(DecisionImpossible, match="has an answer by now"):
        await here.approve(case, NEVER, "beto")
    for _ in range(12):
        await settle_down(here)
    assert (await found(here, payment_id))[1][Act.REFUND].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == 0
