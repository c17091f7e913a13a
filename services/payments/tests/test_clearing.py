"""Where a card's money stands while its payment settles and a refund of it is on its way: what is left is spendable
in the end, to the last centavo, however the two meet."""

import json
from contextlib import suppress
from decimal import Decimal

import asyncpg
import pytest
from payments.domain.accounts import PlayerId, available, uncleared
from payments.domain.cards import Act, CardPaymentId, OperationState
from payments.store.errors import LeaseLost

from services.payments.tests.card_scene import PATIENCE, captured, found, refund, settle_down
from services.payments.tests.world import World, new_player


async def paid_out(here: World, *, deliver: bool = True) -> None:
    """The provider has paid, and all that follows from its file happens; nobody works on the cards meanwhile. Without
    `deliver` the ledger hears of no command."""
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    for _ in range(5):
        for proof in await here.witness.lease(16):
            await here.witness.attest(proof)
        for proof in await here.proofs.lease(16):
            await here.proofs.book(proof)
        if deliver:
            await here.deliver_commands()


async def stands(here: World, player: PlayerId) -> tuple[Decimal, Decimal]:
    """What the player may spend, and what is not cleared."""
    return here.ledger.balance(available(player)), here.ledger.balance(uncleared(player))


async def refund_state(here: World, payment_id: CardPaymentId) -> OperationState:
    return (await found(here, payment_id))[1][Act.REFUND].state


async def test_a_refund_that_fails_after_its_payment_was_cleared_is_spendable(here: World) -> None:
    """Somebody works on the refund while the payment is cleared, and writes down what came of it afterwards."""
    player = new_player()
    payment_id = await captured(here, player, "100.00", kind="refundfails")
    await here.psp.faults(timeout_before=1.0)
    assert (await refund(here, payment_id, "40.00")).status == 202
    await here.run_cards()
    assert await refund_state(here, payment_id) is OperationState.UNKNOWN
    await here.psp.faults()
    here.clock.forward(PATIENCE)
    (in_hand,) = await here.cards.lease(16)
    await paid_out(here)
    assert await stands(here, player) == (Decimal("60.00"), Decimal("0.00"))
    with suppress(LeaseLost):
        await here.cards.advance(in_hand)
    await settle_down(here)
    assert await refund_state(here, payment_id) is OperationState.RELEASED
    assert await stands(here, player) == (Decimal("100.00"), Decimal("0.00"))


async def test_a_refund_that_was_asked_for_before_its_payment_was_cleared_is_taken_once(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    assert (await refund(here, payment_id, "40.00")).status == 202
    await paid_out(here)
    await settle_down(here)
    assert await refund_state(here, payment_id) is OperationState.BOOKED
    assert await stands(here, player) == (Decimal("60.00"), Decimal("0.00"))


async def test_a_refund_whose_hold_was_not_heard_of_before_its_payment_was_cleared_goes_on(
    here: World,
) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    assert (await refund(here, payment_id, "40.00")).status == 202
    here.ledger.lose = "after"
    (operation,) = await here.cards.lease(16)
    await here.cards.advance(operation)
    here.ledger.lose = None
    assert await stands(here, player) == (Decimal("0.00"), Decimal("60.00"))
    await paid_out(here)
    await settle_down(here)
    assert await refund_state(here, payment_id) is OperationState.BOOKED
    assert await stands(here, player) == (Decimal("60.00"), Decimal("0.00"))


async def test_a_refund_that_is_refused_lets_its_payment_clear(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    here.ledger.balances[uncleared(player)] = Decimal("10.00")  # the rest is away for the moment
    assert (await refund(here, payment_id, "40.00")).status == 202
    await paid_out(here)
    (operation,) = await here.cards.lease(16)
    await here.cards.advance(operation)
    here.ledger.balances[uncleared(player)] = Decimal("100.00")
    await settle_down(here)
    assert await refund_state(here, payment_id) is OperationState.REFUSED
    assert await stands(here, player) == (Decimal("100.00"), Decimal("0.00"))


async def test_nothing_is_cleared_before_the_ledger_has_given_a_failed_refund_back(here: World) -> None:
    """The ledger keeps no order between commands: it would refuse to clear what is not there yet, for ever."""
    player = new_player()
    payment_id = await captured(here, player, "100.00", kind="refundfails")
    assert (await refund(here, payment_id, "40.00")).status == 202
    (operation,) = await here.cards.lease(16)
    await here.cards.advance(operation)
    assert await refund_state(here, payment_id) is OperationState.FAILED
    await paid_out(here, deliver=False)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.SETTLED
    assert [command.kind for command in await here.commands()] == ["refund.fail"]
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.CLEARED
    assert await stands(here, player) == (Decimal("100.00"), Decimal("0.00"))


@pytest.mark.parametrize(
    "broken",
    [
        "UPDATE card_operation SET stands_in = 'uncleared' WHERE act = 'capture'",
        "UPDATE card_operation SET stands_in = 'available' WHERE act = 'refund'",
    ],
)
async def test_the_database_too_lets_money_be_cleared_once_and_no_wish(here: World, broken: str) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    if "refund" not in broken:
        await paid_out(here)
    assert (await refund(here, payment_id, "40.00")).status == 202
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        async with here.pool.acquire() as conn:
            await conn.execute(broken)
    assert refused.value.constraint_name == "card_operation_is_cleared_once"


async def test_a_refund_that_is_only_asked_for_takes_no_card_money_out_of_the_way(here: World) -> None:
    """The card's money goes back to the card first; to ask for that and not be able to is no way around it."""
    player = new_player()
    await here.deposited(player, "100.00")
    payment_id = await captured(here, player, "100.00")
    await paid_out(here)
    here.ledger.balances[available(player)] = Decimal("90.00")  # the rest is staked
    assert (await refund(here, payment_id, "100.00")).status == 202
    answer = await here.withdraw(player, "90.00")
    assert json.loads(answer.body)["type"] == "/problems/card-money-returns-to-card"
    await settle_down(here)
    assert await refund_state(here, payment_id) is OperationState.REFUSED
