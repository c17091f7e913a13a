"""One market, everybody at once. The market's row decides the order, and whatever it is the money adds up."""

import asyncio
import random
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from betting.api.registry_views import SuspensionView
from betting.domain.errors import MarketNotOpen, StaleMarket
from betting.domain.ids import UserId
from betting.store.suspensions import Scope
from common.idempotency import Answer
from common.repeating import repeating
from contracts.betting import MarketSuspended, OfferLapsed, OfferMatched

from services.betting.tests.asking import JUDGES, call, insist
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue

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

    assert await floor.ends() <= {
        ("FILLED", None), ("CANCELLED", "BY_OWNER"), ("CANCELLED", "SELF_MATCH"), ("LAPSED", "MARKET_CLOSED"),
        ("FILLED", "DUST"),
    }  # fmt: skip
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


async def test_a_suspension_in_the_middle_of_a_storm(venue: Venue) -> None:
    """Commit order decides: nothing is placed or matched between the suspension and its lifting, in any interleaving."""
    floor = await venue.market()
    people = [venue.bettor("5000.00") for _ in range(10)]
    dice = random.Random(5)
    stopped = asyncio.Event()
    for side in (0, 1):  # the storm may come too late for a bet on a slow machine
        await floor.place(venue.bettor(), side, (1, 1), 20)

    async def trade(number: int) -> None:
        await asyncio.sleep(dice.random() * 0.4)
        late = stopped.is_set()
        try:
            placed = await insist(
                lambda: floor.place(dice.choice(people), number % 2, (1, 1), 20, key=f"s-{number}")
            )
        except (MarketNotOpen, StaleMarket):
            return
        assert not late or placed.http == 409

    async def stop() -> None:
        await asyncio.sleep(0.2)
        await venue.suspending.impose(
            call(JUDGES[0]),
            Scope.MARKET,
            floor.market.id,
            "protest",
            lambda each: Answer.of(SuspensionView.of(each)),
        )
        stopped.set()

    await asyncio.gather(stop(), *(trade(number) for number in range(120)))
    await venue.sweep()
    await venue.deliver()
    story = [message for message in venue.heard if message.partitionkey == f"markets/{floor.market.id}"]
    at = next(each.sequence for each in story if each.type == MarketSuspended.type)
    after = {each.type for each in story if each.sequence > at and each.type.startswith("betting.")}
    assert after <= {OfferLapsed.type}
    assert any(each.type == OfferMatched.type for each in story)
    # Some would trade with themselves without knowing. Nothing else is cancelled: nobody asked for it.
    assert await floor.ends() <= {
        ("OPEN", None), ("PARTIAL", None), ("FILLED", None), ("LAPSED", "MARKET_CLOSED"), ("CANCELLED", "SELF_MATCH"),
    }  # fmt: skip
    await venue.check_money()
    venue.check_history()


async def test_bets_after_the_off_in_a_storm_are_void_on_both_sides(venue: Venue) -> None:
    """The gate was closed too late: whatever was matched less than two seconds before the off goes back, and only that."""
    floor = await venue.market(bps=500)
    people = [venue.bettor("5000.00") for _ in range(10)]
    dice = random.Random(9)

    async def trade(number: int) -> None:
        await asyncio.sleep(dice.random() * 0.6)
        await insist(lambda: floor.place(dice.choice(people), number % 2, (1, 1), 20, key=f"l-{number}"))

    async def remember() -> datetime:
        await asyncio.sleep(0.3)
        return venue.clock()

    middle = (await asyncio.gather(remember(), asyncio.gather(*(trade(number) for number in range(120)))))[0]
    await floor.close()
    for judge in JUDGES:
        await floor.declare(0, judge=judge, off=middle + timedelta(seconds=2))
    await venue.time_passes()
    await venue.settling.settle_due()
    await venue.deliver()
    assert await floor.status() == "SETTLED"
    late, early = await venue.owner.fetchrow(
        """
        SELECT coalesce(sum(pot) FILTER (WHERE matched_at > $1), 0), coalesce(sum(pot) FILTER (WHERE matched_at <= $1), 0)
          FROM fill
        """,
        middle,
    )  # type: ignore[misc]  # an aggregate without GROUP BY always has a row
    assert late > 0
    assert early > 0
    shares = await venue.owner.fetch("SELECT * FROM settlement_share")
    assert sum(share["late"] for share in shares) == late
    assert sum(share["staked"] for share in shares) == early
    assert venue.books.everything == 10 * 5000
    await venue.check_money()


async def test_the_book_is_read_again_when_somebody_else_changed_it(venue: Venue) -> None:
    """Two processes, each with the book in memory: what one has matched, the other does not match again."""
    floor, here = await venue.market(), venue.placing
    ana, beto, carla = venue.bettor(), venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (1, 1), 100)
    venue.restart()
    assert (await floor.place(beto, 1, (1, 1), 100)).matched == "100.00"
    venue.placing = here
    late = await floor.place(carla, 1, (1, 1), 100)
    assert (late.http, late.matched, late.status) == (201, "0.00", "OPEN")
    await venue.deliver()
    await venue.check_money()
