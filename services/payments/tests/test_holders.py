"""Whom the platform knows a player as, when a claim is looked at: people change their names."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from common import pg
from common.client import ServiceClient
from common.errors import Unavailable
from common.idempotency import Answer
from payments.domain.accounts import PlayerId, available
from payments.domain.deposits import Deposit, DepositId, DepositState
from payments.domain.holders import Holder
from payments.people import People
from payments.service.holders import Holders
from payments.service.requests import Claim, Once
from payments.store.deposits import DepositStore

from services.payments.tests.card_scene import PATIENCE
from services.payments.tests.world import DEPOSIT_WINDOW, PACE, World, new_player, pesos

BEFORE, AFTER = "Ana López Ruiz", "María Gómez Vega"


@pytest.fixture
async def holders(here: World) -> AsyncIterator[Holders]:
    async with ServiceClient(here.identity.url, timeout_seconds=2) as client:
        yield Holders(here.pool, People(client), pace=PACE, clock=here.clock)


async def learn_all(holders: Holders) -> tuple[int, int]:
    """What the worker does until nobody is left to ask about; how many were asked about, and for how many in vain."""
    asked = failed = 0
    for _ in range(20):
        leased = await holders.lease(4)
        if not leased:
            break
        for player in leased:
            asked += 1
            try:
                await holders.learn(player)
            except Unavailable:
                failed += 1
    return asked, failed


async def renamed(here: World, holders: Holders) -> PlayerId:
    """A player who was known by another name when the CLABE was given out."""
    player = new_player()
    here.identity.names[str(player)] = BEFORE
    await here.requests.own_clabe(player)
    assert await learn_all(holders) == (1, 0)
    here.clock.forward(timedelta(days=1))
    here.identity.names[str(player)] = AFTER
    return player


async def claimed(here: World, player: PlayerId, name: str) -> Deposit:
    """A claim of a transfer by somebody of that name, which the attestor would look at if it looked at it."""
    transfer = await here.rail.transfer(await here.requests.own_clabe(player), "70.00", name=name)
    claim = Claim(transfer.clave, transfer.operation_date, transfer.institution, pesos("70.00"))
    answer = await here.requests.claim_deposit(player, claim, Once(uuid4().hex, b""), _shown)
    assert await here.verify_all() == 0
    return await here.requests.deposit(player, DepositId(UUID(answer.resource)))


def _shown(deposit: Deposit) -> Answer:
    return Answer(202, "{}", resource=str(deposit.id))


async def after_asking(here: World, holders: Holders, deposit: Deposit) -> Deposit:
    await learn_all(holders)
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
    deposit = await claimed(here, player, sender)
    assert (await after_asking(here, holders, deposit)).state is state
    assert here.ledger.balance(available(player)) == (
        pesos("70.00").amount if state is DepositState.BOOKED else 0
    )


async def test_a_claim_is_not_looked_at_before_its_players_name_is_known(
    here: World, holders: Holders
) -> None:
    """A look in vain costs as much as one that finds the money: it is the whole of what the attestor does."""
    player = await renamed(here, holders)
    deposit = await claimed(here, player, AFTER)
    assert (deposit.state, deposit.leases) == (DepositState.CLAIMED, 0)
    booked = await after_asking(here, holders, deposit)
    looks = await here.owner.fetchval(
        "SELECT count(*) FROM history WHERE subject_id = $1 AND actor = 'payments_attestor'", deposit.id
    )
    assert (booked.state, looks) == (DepositState.BOOKED, 1)


async def test_a_claim_of_somebody_who_stays_unknown_ends_with_its_window(
    here: World, holders: Holders
) -> None:
    player = new_player()
    here.identity.names[str(player)] = None
    await here.requests.own_clabe(player)
    deposit = await claimed(here, player, AFTER)
    await here.rail.post("/forget", {})
    assert (await after_asking(here, holders, deposit)).state is DepositState.CLAIMED
    here.clock.forward(DEPOSIT_WINDOW)
    ended = await after_asking(here, holders, deposit)
    assert (ended.state, ended.reason) == (DepositState.REJECTED, "not-found")


async def test_the_end_of_its_window_makes_no_old_name_count(here: World, holders: Holders) -> None:
    player = await renamed(here, holders)
    deposit = await claimed(here, player, BEFORE)
    here.clock.forward(DEPOSIT_WINDOW)
    assert await here.verify_all() == 1
    looked_at = await here.requests.deposit(player, deposit.id)
    assert (looked_at.state, looked_at.reason) == (DepositState.NOT_FOUND_YET, "holder-unknown")


async def test_whom_identity_knows_only_later_is_asked_about_again(here: World, holders: Holders) -> None:
    player = new_player()
    here.identity.names[str(player)] = None
    await here.requests.own_clabe(player)
    deposit = await claimed(here, player, AFTER)
    assert (await after_asking(here, holders, deposit)).state is DepositState.CLAIMED
    here.identity.names[str(player)] = AFTER
    here.clock.forward(PATIENCE)
    assert (await after_asking(here, holders, deposit)).state is DepositState.BOOKED


async def test_one_whom_identity_fails_for_holds_up_nobody(here: World, holders: Holders) -> None:
    first, *others = players = [new_player() for _ in range(3)]
    here.identity.names |= dict.fromkeys(map(str, players), AFTER)
    here.identity.fails_for.add(str(first))
    for player in players:
        await here.requests.own_clabe(player)
    stuck, *waiting = [await claimed(here, player, AFTER) for player in (first, *others)]
    for deposit in waiting:
        assert (await after_asking(here, holders, deposit)).state is DepositState.BOOKED
    assert (await here.requests.deposit(first, stuck.id)).state is DepositState.CLAIMED
    assert await learn_all(holders) == (0, 0)  # it is left alone for a while
    here.clock.forward(PATIENCE)
    assert await learn_all(holders) == (1, 1)
    here.identity.fails_for.clear()
    here.clock.forward(PATIENCE)
    assert (await after_asking(here, holders, stuck)).state is DepositState.BOOKED


async def test_while_identity_does_not_answer_a_claim_waits(here: World, holders: Holders) -> None:
    player = await renamed(here, holders)
    deposit = await claimed(here, player, AFTER)
    here.identity.silent = True
    assert await learn_all(holders) == (1, 1)
    assert await here.verify_all() == 0
    here.identity.silent = False
    here.clock.forward(PATIENCE)
    assert (await after_asking(here, holders, deposit)).state is DepositState.BOOKED


async def test_who_has_left_is_who_they_were(here: World, holders: Holders) -> None:
    """Money on its way to a closed account does not wait for ever."""
    player = await renamed(here, holders)
    here.identity.names[str(player)] = None
    deposit = await claimed(here, player, BEFORE)
    assert (await after_asking(here, holders, deposit)).state is DepositState.BOOKED


async def test_identity_is_asked_once_a_claim(here: World, holders: Holders) -> None:
    player = await renamed(here, holders)
    await claimed(here, player, AFTER)
    assert await learn_all(holders) == (1, 0)
    here.clock.forward(PATIENCE)
    assert await learn_all(holders) == (0, 0)


async def test_what_identity_said_earlier_replaces_nothing(here: World, holders: Holders) -> None:
    """Of two processes that ask, the one that asked first may write last."""
    player = await renamed(here, holders)
    await claimed(here, player, AFTER)
    await learn_all(holders)
    async with pg.transaction(here.pool) as conn:
        store = DepositStore(conn)
        await store.keep_holder(player, Holder(BEFORE), here.clock() - timedelta(hours=1))
        assert await store.holder_of(player, here.clock()) == Holder(AFTER)
