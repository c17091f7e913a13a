"""Whom the platform knows a player as, when a claim is looked at: people change their names."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from common import pg
from common.client import RemoteProblem, ServiceClient, Unreachable
from payments.domain.accounts import PlayerId, available
from payments.domain.deposits import Deposit, DepositState
from payments.domain.holders import Holder
from payments.people import People
from payments.service.holders import Holders
from payments.store.deposits import DepositStore

from services.payments.tests.card_scene import PATIENCE
from services.payments.tests.world import World, new_player, pesos

BEFORE, AFTER = "Ana López Ruiz", "María Gómez Vega"


@pytest.fixture
async def holders(here: World) -> AsyncIterator[Holders]:
    async with ServiceClient(here.identity.url, timeout_seconds=2) as client:
        yield Holders(here.pool, People(client), clock=here.clock)


async def renamed(here: World, holders: Holders) -> PlayerId:
    """A player who was known by another name when the CLABE was given out."""
    player = new_player()
    here.identity.names[str(player)] = BEFORE
    await here.requests.own_clabe(player)
    assert await holders.learn() >= 1
    here.clock.forward(timedelta(days=1))
    here.identity.names[str(player)] = AFTER
    return player


async def looked_at(here: World, player: PlayerId, name: str) -> Deposit:
    """A claim of a transfer by somebody of that name, after the attestor has looked at it for the first time."""
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00", name=name)
    answer = await here.claim(player, transfer, "70.00")
    await here.verify_all()
    return await here.deposit(player, answer)


async def after_asking(here: World, holders: Holders, deposit: Deposit) -> Deposit:
    await holders.learn()
    here.clock.forward(PATIENCE)
    await here.verify_all()
    await here.book_all()
    return await here.requests.deposit(deposit.player, deposit.id)


@pytest.mark.parametrize(
    ("sender", "state"), [(AFTER, DepositState.BOOKED), (BEFORE, DepositState.QUARANTINED)]
)
async def test_the_name_that_counts_is_the_one_identity_knows_at_the_claim(
    here: World, holders: Holders, sender: str, state: DepositState
) -> None:
    player = await renamed(here, holders)
    deposit = await looked_at(here, player, sender)
    assert (deposit.state, deposit.reason) == (DepositState.NOT_FOUND_YET, "holder-unknown")
    assert (await after_asking(here, holders, deposit)).state is state
    assert here.ledger.balance(available(player)) == (
        pesos("70.00").amount if state is DepositState.BOOKED else 0
    )


async def test_while_identity_does_not_answer_a_claim_waits(here: World, holders: Holders) -> None:
    player = await renamed(here, holders)
    deposit = await looked_at(here, player, AFTER)
    here.identity.silent = True
    with pytest.raises((RemoteProblem, Unreachable)):
        await after_asking(here, holders, deposit)
    here.clock.forward(PATIENCE)
    await here.verify_all()
    assert (await here.requests.deposit(player, deposit.id)).state is DepositState.NOT_FOUND_YET
    here.identity.silent = False
    assert (await after_asking(here, holders, deposit)).state is DepositState.BOOKED


async def test_who_has_left_is_who_they_were(here: World, holders: Holders) -> None:
    """Money on its way to a closed account does not wait for ever."""
    player = await renamed(here, holders)
    here.identity.names[str(player)] = None
    deposit = await looked_at(here, player, BEFORE)
    assert (await after_asking(here, holders, deposit)).state is DepositState.BOOKED


async def test_identity_is_asked_once_a_claim(here: World, holders: Holders) -> None:
    player = await renamed(here, holders)
    deposit = await looked_at(here, player, AFTER)
    before = here.identity.asked
    for _ in range(3):
        await after_asking(here, holders, deposit)
    assert here.identity.asked == before + 1


async def test_what_identity_said_earlier_replaces_nothing(here: World, holders: Holders) -> None:
    """Of two processes that ask, the one that asked first may write last."""
    player = await renamed(here, holders)
    await looked_at(here, player, AFTER)
    await holders.learn()
    async with pg.transaction(here.pool) as conn:
        store = DepositStore(conn)
        await store.keep_holder(player, Holder(BEFORE), here.clock() - timedelta(hours=1))
        assert await store.holder_of(player, here.clock()) == Holder(AFTER)
