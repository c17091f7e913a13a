"""One market, everybody at once. The market's row decides the order, and whatever it is the money adds up."""

import asyncio
import random
from datetime import timedelta
from decimal import Decimal

import pytest
from betting.domain.errors import MarketNotOpen, StaleMarket
from betting.domain.ids import UserId
from common.repeating import repeating

from services.betting.tests.venue import JUDGES, Floor, Venue, insist

RATIOS = ((1, 1), (5, 4), (4, 5), (10, 9), (9, 10))


async def storm(venue: Venue, floor: Floor, people: list[UserId], dice: random.Random) -> int:
    """A hundred at once place and cancel while the gate closes. How many centavos they cancelled."""
    cancelled: list[int] = []
    placed_by_now = asyncio.Semaphore(0)

    async def trade(number: int) -> None:
        user, side, ratio = dice.choice(people), dice.randrange(2), dice.choice(RATIOS)
        pesos, cancels = 18 * dice.randint(1, 5), dice.random() < 0.4
        await asyncio.sleep(dice.random() * 0.5)
        try:
            placed = await insist(lambda: floor.place(user, side, ratio, pesos, key=f"place-{number}"))
        except (MarketNotOpen, StaleMarket):
            return  # too late
        placed_by_now.release()
        if placed.http == 201 and cancels:
            cancelled.append(await insist(lambda: floor.cancel(user, placed.id, key=f"cancel-{number}")))

    async def shut() -> None:
        for _ in range(60):
            await placed_by_now.acquire()
        await insist(floor.close)

    async with repeating("sweep", venue.placing.resume, every_seconds=0.1):
        await asyncio.gather(shut(), *(trade(number) for number in range(100)))
    return sum(cancelled)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_hundred_at_once_and_the_gate(venue: Venue, seed: int) -> None:
    dice = random.Random(seed)
    venue.restart(timedelta(seconds=0.5))
    floor = await venue.market()
    people = [venue.bettor("5000.00") for _ in range(20)]
    cancelled = await storm(venue, floor, people, dice)
    await venue.sweep()
    await venue.deliver()

    assert set((await floor.offers()).values()) <= {"FILLED", "CANCELLED", "LAPSED"}
    assert await venue.owner.fetchval("SELECT count(*) FROM fill") > 0
    taken = await venue.owner.fetchval(
        "SELECT coalesce(sum(released), 0) FROM offer WHERE ending = 'BY_OWNER'"
    )
    assert taken == Decimal(cancelled) / 100
    await venue.check_money()
    venue.check_history()

    await floor.finish_decided(dice.choice((0, 1, None)))
    assert await floor.status() == "SETTLED"
    assert venue.books.everything == 20 * 5000
    assert all(
        not amount
        for path, amount in venue.books.balances.items()
        if not path.endswith("available") and path != "house/commission"
    )
    await venue.check_money()
    venue.check_history()


async def test_a_cancel_and_a_match_at_once_share_the_offer(venue: Venue) -> None:
    """However they are ordered, what was cancelled and what was matched are the whole offer."""
    for _ in range(20):
        floor = await venue.market()
        ana, beto = venue.bettor(), venue.bettor()
        made = await floor.place(ana, 0, (1, 1), 100)
        cancelled, taken = await asyncio.gather(floor.cancel(ana, made.id), floor.place(beto, 1, (1, 1), 60))
        assert cancelled == (10_000 if taken.matched == "0.00" else 4_000)
    await venue.deliver()
    await venue.check_money()
    venue.check_history()


async def test_a_hundred_taps_place_one_offer(venue: Venue) -> None:
    floor = await venue.market()
    ana = venue.bettor()

    taps = [insist(lambda: floor.place(ana, 0, (1, 1), 100, key="tap")) for _ in range(100)]
    answers = await asyncio.gather(*taps)
    assert await floor.offers() == {answers[0].id: "OPEN"}
    assert {answer.id for answer in answers} == {answers[0].id}
    assert sum(not answer.replayed for answer in answers) == 1
    assert venue.books.of(ana) == {"available": "900.00", "held": "100.00"}


async def test_two_officials_and_two_settlers_at_once(venue: Venue) -> None:
    for _ in range(5):
        floor = await venue.market()
        await floor.place(venue.bettor(), 0, (1, 1), 100)
        await floor.place(venue.bettor(), 1, (1, 1), 100)
        await floor.close()
        await asyncio.gather(*(floor.declare(0, judge=judge) for judge in JUDGES))
        await venue.time_passes()
        await asyncio.gather(*(venue.settling.settle(floor.market.id) for _ in range(4)))
        await venue.deliver()
        assert await floor.status() == "SETTLED"
    await venue.check_money()
    venue.check_history()
