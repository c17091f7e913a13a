"""Price-time priority: whatever the service believes of its book, nobody is passed in the queue, by rule of the database."""

from collections.abc import Iterator

import asyncpg
import pytest
from betting.domain.book import Book
from betting.domain.offers import Offer

from services.betting.tests.asking import call
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue


@pytest.fixture
async def floor(venue: Venue) -> Floor:
    """Two rest at one ratio, and between them in time somebody at a better one for whoever takes."""
    floor = await venue.market()
    await floor.place(venue.bettor(), 0, (1, 1), 10)
    await floor.place(venue.bettor(), 0, (10, 9), 10)
    await floor.place(venue.bettor(), 0, (1, 1), 10)
    return floor


async def refused(venue: Venue, floor: Floor, pesos: int) -> str | None:
    """The rule that whoever takes is refused for; none if they bet."""
    try:
        await venue.placing.place(call(venue.bettor()), floor.wanted(1, (1, 1), pesos))
    except asyncpg.CheckViolationError as found:
        return found.constraint_name
    return None


async def bets(venue: Venue) -> list[tuple[int, int]]:
    """Each maker's stake in pesos, and the risk of its ratio, in the order of the bets."""
    rows = await venue.owner.fetch("SELECT maker_stake, risk FROM fill ORDER BY sequence")
    return [(int(row["maker_stake"]), row["risk"]) for row in rows]


async def test_the_best_price_comes_first_and_then_the_earliest(venue: Venue, floor: Floor) -> None:
    assert await refused(venue, floor, 24) is None
    assert await bets(venue) == [(10, 10), (10, 1), (5, 1)]


@pytest.mark.parametrize(("order", "pesos"), [((1, 0, 2), 10), ((2, 0, 1), 10), ((0, 2, 1), 19)])
async def test_nobody_is_passed(
    venue: Venue, floor: Floor, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...], pesos: int
) -> None:
    """Whoever would be passed has something left, though somebody behind them has bet."""
    rightly = Book.makers

    def wrongly(book: Book, taker: Offer) -> Iterator[Offer]:
        makers = list(rightly(book, taker))
        return iter([makers[each] for each in order])

    with monkeypatch.context() as passing:
        passing.setattr(Book, "makers", wrongly)
        assert await refused(venue, floor, pesos) == "fill_keeps_the_queue"
    assert await bets(venue) == []
    await venue.sweep()
    assert sum(stake for stake, _ in await bets(venue)) == {10: 11, 19: 20}[pesos]
