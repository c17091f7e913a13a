"""Many markets, one batch: what is free happens together, what somebody has locked waits alone."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from betting.domain.errors import MarketNotFound
from betting.domain.ids import MarketId, OfferId
from betting.domain.offers import Ending
from betting.service.batching import Batcher
from betting.service.floor import KeyTaken
from betting.service.trading import Cancelled, End, EndAll
from common.idempotency import Answer
from common.repeating import repeating

from services.betting.tests.asking import call, insist
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue


def shown(done: Cancelled) -> Answer:
    return Answer(200, f'"{done.offer.id}"')


async def markets(venue: Venue, count: int) -> list[Floor]:
    return [await venue.market() for _ in range(count)]


async def test_offers_of_many_markets_are_placed_in_one_transaction(venue: Venue) -> None:
    """The first one's hold is under way when the others come; their holds, and so their places, come together."""
    floors = await markets(venue, 6)
    venue.ledger.slow_seconds = 0.3
    placed = await asyncio.gather(*(floor.place(venue.bettor(), 0, (1, 1), 50) for floor in floors))
    assert {answer.http for answer in placed} == {201}
    transactions = await venue.owner.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM market WHERE id = ANY ($1)",
        [floor.market.id for floor in floors],
    )
    assert transactions <= 3
    await venue.deliver()
    await venue.check_money()
    venue.check_history()


async def test_refused_holds_of_many_markets_are_written_in_one_transaction(venue: Venue) -> None:
    """The first one's hold is under way when the others come. A market that somebody has locked holds up none of them."""
    floors = await markets(venue, 6)
    venue.ledger.slow_seconds = 0.3
    async with venue.owner.acquire() as stranger, stranger.transaction():
        await stranger.execute("SELECT FROM market WHERE id = $1 FOR NO KEY UPDATE", floors[0].market.id)
        refused = await asyncio.gather(
            *(floor.place(venue.bettor("1.00"), 0, (1, 1), 50) for floor in floors)
        )
    assert {(answer.http, answer.problem) for answer in refused} == {(422, "/problems/insufficient-funds")}
    transactions = await venue.owner.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM offer WHERE status = 'REJECTED'"
    )
    assert transactions <= 2
    await venue.deliver()
    await venue.check_money()
    assert not venue.books.holds


async def test_a_locked_market_holds_up_nobody_else(venue: Venue) -> None:
    """Somebody has one market's row for as long as it takes another market's offers to be placed."""
    held, free = await markets(venue, 2)
    async with venue.owner.acquire() as stranger:
        lock = stranger.transaction()
        await lock.start()
        await stranger.execute("SELECT FROM market WHERE id = $1 FOR NO KEY UPDATE", held.market.id)
        waits = [asyncio.create_task(held.place(venue.bettor(), 0, (1, 1), 50)) for _ in range(3)]
        for _ in range(5):
            assert (await free.place(venue.bettor(), 0, (1, 1), 50)).http == 201
        assert not any(each.done() for each in waits)
        await lock.rollback()
    assert {(await each).http for each in waits} == {201}
    # Nothing is left aside: the next ones go with all others.
    assert (await held.place(venue.bettor(), 1, (1, 1), 50)).matched == "50.00"
    await venue.deliver()
    await venue.check_money()
    venue.check_history()


async def test_one_key_is_used_once_in_two_markets_of_a_batch(venue: Venue) -> None:
    here, there = await markets(venue, 2)
    ana = venue.bettor()
    mine = [OfferId((await floor.place(ana, 0, (1, 1), 50)).id) for floor in (here, there)]
    tap = call(ana, "tap")
    first, second = await asyncio.gather(
        *(
            venue.floors.do(floor.market.id, End(tap, offer, Ending.BY_OWNER, shown))
            for floor, offer in zip((here, there), mine, strict=True)
        ),
        return_exceptions=True,
    )
    assert isinstance(first, Answer)
    assert isinstance(second, KeyTaken)
    assert (await here.ends(), await there.ends()) == ({("CANCELLED", "BY_OWNER")}, {("OPEN", None)})


async def test_an_unknown_market_hurts_only_who_asks_for_it(venue: Venue) -> None:
    (floor,) = await markets(venue, 1)
    ana = venue.bettor()
    await floor.place(ana, 0, (1, 1), 50)
    lost, done = await asyncio.gather(
        venue.floors.do(MarketId(uuid4()), EndAll(call(ana), {})),
        venue.floors.do(floor.market.id, EndAll(call(ana), {})),
        return_exceptions=True,
    )
    assert isinstance(lost, MarketNotFound)
    assert isinstance(done, Answer)
    assert await floor.ends() == {("CANCELLED", "BY_OWNER")}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_two_processes_trade_in_the_same_markets(venue: Venue, seed: int) -> None:
    """Each finds markets locked by the other, again and again, while gates close: every story is whole all the same."""
    dice = random.Random(seed)
    venue.restart(timedelta(seconds=0.5))
    here = venue.placing, venue.trading
    venue.restart(timedelta(seconds=0.5))
    there = venue.placing, venue.trading
    floors = await markets(venue, 4)
    people = [venue.bettor("5000.00") for _ in range(12)]

    async def trade(number: int) -> None:
        floor, user, side = dice.choice(floors), dice.choice(people), dice.randrange(2)
        (placing, trading), pesos, cancels = (
            dice.choice((here, there)),
            dice.randint(1, 5),
            dice.random() < 0.3,
        )
        wanted = floor.wanted(side, (1, 1), pesos)
        await asyncio.sleep(dice.random() * 0.3)
        answer = await insist(lambda: placing.place(call(user, f"place-{number}"), wanted))
        if answer.status == 201 and cancels:
            offer = OfferId(next(id for id, key in await keys(floor) if key == f"place-{number}"))
            await insist(lambda: trading.cancel(call(user, f"cancel-{number}"), offer, shown))

    async def keys(floor: Floor) -> list[tuple[OfferId, str]]:
        return [
            (row["id"], row["idempotency_key"])
            for row in await venue.owner.fetch(
                "SELECT id, idempotency_key FROM offer WHERE market_id = $1", floor.market.id
            )
        ]

    async with repeating("sweep", here[0].resume, every_seconds=0.1):
        await asyncio.gather(*(trade(number) for number in range(120)))
        for floor in floors[:2]:
            await insist(floor.close)
    await venue.sweep()
    await venue.deliver()
    for floor in floors:
        assert "PENDING" not in (await floor.offers()).values()
    assert await venue.owner.fetchval("SELECT count(*) FROM fill") > 0
    await venue.check_money()
    venue.check_history()


async def test_those_who_share_a_turn_gather_while_the_other_commits() -> None:
    """What comes while the other one commits is one batch, and neither is left out."""
    turn, under_way, batches = asyncio.Lock(), 0, list[tuple[str, int]]()

    def batcher(name: str) -> Batcher[int, int]:
        async def commit(numbers: Sequence[int]) -> Sequence[int | Exception]:
            nonlocal under_way
            assert not under_way
            under_way += 1
            await asyncio.sleep(0.01)
            under_way -= 1
            batches.append((name, len(numbers)))
            return numbers

        return Batcher(name, commit, turn=turn)

    one, other = batcher("one"), batcher("other")
    first = asyncio.create_task(one.submit(0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [each.submit(number) for number in range(1, 6) for each in (one, other)]
    assert sorted(await asyncio.gather(first, *rest)) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert batches == [("one", 1), ("other", 5), ("one", 5)]
