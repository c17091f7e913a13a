"""Deposits count when they are booked, however many are at once and whenever they were asked for."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

from common.pg import transaction
from payments.domain.accounts import PlayerId
from payments.domain.cards import PaymentState
from payments.domain.cases import Decision, Subject
from payments.domain.play import Period, period_start
from payments.service.cashier import Verdict

from services.payments.tests.card_scene import cases, once, pay, settle_down, shown, state_of
from services.payments.tests.world import World, new_player, pesos

LINKED = ("player", "linked-deposits-sum")


async def attested(here: World, player: PlayerId, amount: str) -> UUID:
    """A transfer that the attestor has signed and nobody has booked yet; its receipt."""
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), amount)
    await here.claim(player, transfer, amount)
    await here.verify_all()
    return transfer.receipt_id


async def book(here: World, receipt: UUID) -> None:
    async with transaction(here.pool) as conn:
        await here.booking.hear_booked(conn, receipt, uuid4())


async def open_notices(here: World) -> int:
    return len(await here.cashier.queue(Subject.PLAYER, None, 50))


async def look_at_it(here: World) -> None:
    """People close the notice that is open; time goes on."""
    (case,) = await here.cashier.queue(Subject.PLAYER, None, 50)
    verdict = Verdict(Decision.CLOSE, "seen", None)
    await here.propose(case, verdict, "ana")
    await here.approve(case, verdict, "beto")
    here.clock.forward(timedelta(minutes=1))


async def test_two_deposits_booked_at_once_add_up(here: World) -> None:
    player = new_player()
    await here.deposited(player, "1.00")  # the sender's CLABE is known: booking waits for nothing else
    first, second = [await attested(here, player, "60000.00") for _ in range(2)]
    async with transaction(here.pool) as conn:
        await here.booking.hear_booked(conn, first, uuid4())
        meanwhile = asyncio.create_task(book(here, second))
        await asyncio.wait((meanwhile,), timeout=0.5)
    await meanwhile
    assert LINKED in await cases(here)


async def test_a_deposit_claimed_before_people_looked_and_booked_after_is_looked_at(here: World) -> None:
    player = new_player()
    late, early = [await attested(here, player, "80000.00") for _ in range(2)]
    await book(here, early)
    await look_at_it(here)
    assert await open_notices(here) == 0
    await book(here, late)
    assert await open_notices(here) == 1


async def test_a_card_authorised_before_people_looked_and_captured_after_is_looked_at(here: World) -> None:
    player = new_player()
    payment_id = await pay(here, player, "80000.00", capture=False)
    await here.run_cards()
    await book(here, await attested(here, player, "80000.00"))
    await look_at_it(here)
    await here.card_requests.capture("c", payment_id, pesos("80000.00"), once(), shown)
    await settle_down(here)
    assert await state_of(here, payment_id) is PaymentState.CAPTURED
    assert await open_notices(here) == 1


async def test_a_transfer_counts_for_the_day_it_is_booked_on(here: World) -> None:
    player = new_player()
    here.identity.deposit_limits[str(player)] = {Period.DAY: "100.00"}
    here.clock.now = period_start(Period.DAY, here.clock.now) + timedelta(days=1, minutes=-5)
    receipt = await attested(here, player, "80.00")
    here.clock.forward(timedelta(minutes=10))
    await book(here, receipt)
    payment_id = await pay(here, player, "30.00")
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.DECLINED


async def test_a_transfer_that_is_about_to_be_booked_leaves_that_much_less_for_a_card(here: World) -> None:
    player = new_player()
    here.identity.deposit_limits[str(player)] = {Period.DAY: "100.00"}
    await attested(here, player, "80.00")
    payment_id = await pay(here, player, "30.00")
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.DECLINED
