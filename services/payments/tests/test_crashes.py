"""A worker is stopped at each of its awaits, one after the other, and another carries on. Wherever it
was stopped, the player is credited or paid once, the books end right and nothing stays behind."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import timedelta
from decimal import Decimal

import pytest
from common import pg
from common.client import ServiceClient
from payments.domain.accounts import available, withdrawing
from payments.domain.deposits import DepositState
from payments.domain.orders import Order, RailOrder
from payments.domain.windows import Windows
from payments.domain.withdrawals import PayoutRail, WithdrawalState
from payments.ledger import Ledger
from payments.people import People
from payments.rail import Rail
from payments.service.payouts import Payouts
from payments.store.withdrawals import WithdrawalStore

from services.payments.tests.world import OWN_CLABE, PACE, WINDOW, World, new_player

MOST_AWAITS = 300
PATIENCE = timedelta(seconds=max(PACE.lease_seconds, WINDOW.total_seconds(), PACE.longest_seconds))

Work = Coroutine[object, None, None]


class StoppedAt:
    """Runs a coroutine, and cancels the task it runs in while it waits for the n-th time."""

    def __init__(self, work: Work, awaits: int) -> None:
        self._work = work
        self._awaits = awaits

    def __await__(self) -> Generator[object, None, None]:
        task = asyncio.current_task()
        assert task is not None
        waited, error = 0, None
        while True:
            try:
                waits_for = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration:
                return
            waited += 1
            if waited == self._awaits:
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001 - handed on to the work, whatever it is
                error = thrown
            else:
                error = None


async def survives(work: Work, awaits: int) -> bool:
    """Whether the work ended before the await at which it was to be stopped."""

    async def run() -> None:
        await StoppedAt(work, awaits)

    (ended,) = await asyncio.gather(asyncio.create_task(run()), return_exceptions=True)
    if ended is not None and not isinstance(ended, asyncio.CancelledError):
        raise ended
    return ended is None


async def at_every_await(begin: Callable[[], Awaitable[Work]], then: Callable[[int], Awaitable[None]]) -> int:
    """Begin the work and stop it at its first await, then let `then` carry on and check; begin it anew and
    stop it at its second; and so on until it ends by itself. Returns how many awaits it has."""
    for awaits in range(1, MOST_AWAITS):
        done = await survives(await begin(), awaits)
        await then(awaits)
        if done:
            return awaits - 1
    raise AssertionError("the work has more awaits than the test knows")


async def test_a_withdrawal_survives_a_crash_at_every_await(here: World) -> None:
    player = new_player()
    await here.deposited(player, "1000.00")

    async def begin() -> Work:
        here.clock.forward(timedelta(days=2))  # so many in one day would go to review
        await here.withdraw(player, "1.00")
        return one_round()

    async def one_round() -> None:
        for withdrawal in await here.payouts.lease(1):
            await here.payouts.advance(withdrawal)

    async def carry_on(number: int) -> None:
        for _ in range(4):
            here.clock.forward(PATIENCE)
            await here.pay_all()
        await here.deliver_commands()
        latest = (await here.requests.withdrawals(player, None, 1))[0]
        assert latest.state is WithdrawalState.BOOKED, f"stopped at await {number}"
        assert latest.sends <= 2
        assert here.ledger.balance(withdrawing(player)) == 0
        assert here.ledger.balance(available(player)) == Decimal(1000 - number)
        assert here.ledger.balance("bank/spei") == Decimal(1000 - number)
        order = await here.rail_order(latest.id)
        assert order is not None
        assert order["status"] == "liquidado"

    assert await at_every_await(begin, carry_on) > 20
    commands = await here.commands()
    assert len({command.idempotency_key for command in commands}) == len(commands)


async def test_a_deposit_survives_a_crash_of_the_attestor_at_every_await(here: World) -> None:
    player = new_player()
    clabe = await here.requests.own_clabe(player)

    async def begin() -> Work:
        await here.claim(player, await here.rail.transfer(clabe, "1.00"), "1.00")
        return one_round()

    async def one_round() -> None:
        for deposit in await here.attestor.lease(1):
            await here.attestor.verify(deposit)

    async def carry_on(number: int) -> None:
        here.clock.forward(PATIENCE)
        await here.verify_all()
        await here.book_all()
        latest = (await here.requests.deposits(player, None, 1))[0]
        assert latest.state is DepositState.BOOKED, f"stopped at await {number}"
        assert here.ledger.balance(available(player)) == Decimal(number)
        assert len(here.ledger.receipts) == number

    assert await at_every_await(begin, carry_on) > 10


async def test_a_deposit_survives_a_crash_of_the_booking_at_every_await(here: World) -> None:
    player = new_player()
    clabe = await here.requests.own_clabe(player)

    async def begin() -> Work:
        await here.claim(player, await here.rail.transfer(clabe, "1.00"), "1.00")
        await here.verify_all()
        return one_round()

    async def one_round() -> None:
        for deposit in await here.booking.lease(1):
            await here.booking.book(deposit)

    async def carry_on(number: int) -> None:
        here.clock.forward(PATIENCE)
        await here.book_all()
        latest = (await here.requests.deposits(player, None, 1))[0]
        assert latest.state is DepositState.BOOKED, f"stopped at await {number}"
        assert here.ledger.balance(available(player)) == Decimal(number)

    assert await at_every_await(begin, carry_on) > 10
    told = await here.owner.fetchval(
        "SELECT count(*) FROM outbox WHERE routing_key = 'payments.deposit.booked.v1'"
    )
    assert told == len(here.ledger.receipts)


class LastWords(Rail):
    """A rail after whose answer to an order its caller does not live to hear it."""

    async def send(self, order: Order) -> RailOrder:
        await super().send(order)
        raise asyncio.CancelledError


async def test_who_finds_a_dead_senders_order_asks_before_anything_else(here: World) -> None:
    player = new_player()
    await here.deposited(player, "500.00")
    answer = await here.withdraw(player, "200.00")
    async with ServiceClient(here.rail.url) as client:
        rail = LastWords(client, own_clabe=OWN_CLABE)
        dying = Payouts(
            here.pool,
            Ledger(client, client),
            People(client),
            {PayoutRail.SPEI: rail},
            window=WINDOW,
            pace=PACE,
            clock=here.clock,
            ted_windows=Windows.parse(""),
        )
        (leased,) = await here.payouts.lease(1)
        reserved = leased.to(WithdrawalState.RESERVED)
        approved = reserved.to(WithdrawalState.APPROVED)
        async with pg.transaction(here.pool) as conn:
            await WithdrawalStore(conn).save(leased, reserved, None)
            await WithdrawalStore(conn).save(reserved, approved, None)
        with pytest.raises(asyncio.CancelledError):
            await dying.advance(approved)
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.SENDING
    here.clock.forward(PATIENCE)
    await here.pay_all()
    found = await here.withdrawal(player, answer)
    assert (found.state, found.sends) == (WithdrawalState.LIQUIDATED, 1)
