"""Placing is a saga: wherever it stops, the sweeper finishes it, and the money is where it belongs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from betting.domain.errors import OfferPending
from betting.service.batching import Batcher
from common.errors import DomainError
from common.idempotency import Answer, KeyInFlight
from contracts.betting import OfferPlaced, OfferRejected

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.fake_ledger import Mood
from services.betting.tests.floors import Floor, Placed
from services.betting.tests.venue import Venue


class Crash:
    """Runs work in a process of its own, as it were, that dies when anything in it waits for the n-th time.

    Every task begun meanwhile belongs to it: the request's own, and the batches'.
    """

    def __init__(self, waits: int) -> None:
        self._left = waits
        self._tasks: list[asyncio.Task[Any]] = []
        self.dead = False

    async def run(self, work: Coroutine[Any, Any, Answer]) -> bool:
        """Whether it died before the work was done. Whatever was under way is gone when this returns."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(self._begin)  # type: ignore[arg-type]  # the stubs know no coroutine types
        try:
            with suppress(asyncio.CancelledError, DomainError):
                await self._own(loop, work)
        finally:
            loop.set_task_factory(before)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.dead

    def _begin(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **named: Any
    ) -> "asyncio.Task[Any]":
        """The batches' tasks are ours; the driver's, which tidy up after a cut, are not."""
        if getattr(work, "__qualname__", "") == Batcher._run.__qualname__:
            return self._own(loop, work)
        return asyncio.Task(work, loop=loop, **named)

    def _own(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        if self.dead:
            work.close()
            return asyncio.Task(asyncio.sleep(0), loop=loop)
        task = asyncio.Task(self._counted(work), loop=loop)
        task.add_done_callback(lambda _: work.close())  # one that was cut off before it began
        self._tasks.append(task)
        return task

    def _wait(self) -> None:
        if self._left == 0:
            self.dead = True
            for task in self._tasks:
                task.cancel()
        self._left -= 1

    async def _counted(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await _Counted(work, self._wait)


class _Counted(Awaitable[Any]):
    def __init__(self, work: Coroutine[Any, Any, Any], waits: Callable[[], None]) -> None:
        self._work = work
        self._waits = waits

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._work.__await__()
        step = partial(next, inner)
        try:
            while True:
                waited_for = step()
                self._waits()
                try:
                    yield waited_for
                except BaseException as error:  # noqa: BLE001 - it is passed on
                    step = partial(inner.throw, error)
                else:
                    step = partial(next, inner)
        except StopIteration as done:
            return done.value


async def interrupted(work: Coroutine[Any, Any, Answer], waits: int) -> bool:
    """Whether everything was cut off before the work was done."""
    return await Crash(waits).run(work)


@pytest.fixture
async def floor(venue: Venue) -> Floor:
    return await venue.market()


async def test_a_placement_cut_off_anywhere_is_finished(venue: Venue, floor: Floor) -> None:
    """The taker of a resting offer is cut off at its first wait, then at its second, and so on to the end."""
    maker = venue.bettor("100000.00")
    waits, offers = 0, 0
    cut = True
    while cut:
        await floor.place(maker, 0, (5, 4), 5)
        taker, key = venue.bettor("10.00"), f"cut-{waits}"
        wanted = floor.wanted(1, (1, 1), 4)
        cut = await interrupted(venue.placing.place(call(taker, key), wanted), waits)
        venue.restart()
        await venue.sweep()

        answer = Placed.of(await venue.placing.place(call(taker, key), wanted))
        assert (answer.http, answer.matched, answer.status) == (201, "4.00", "FILLED"), waits
        await venue.deliver()
        assert venue.books.of(taker) == {"available": "6.00", "held": "0.00"}, waits
        offers += 2
        waits += 1
    assert waits > 15
    assert len(await floor.offers()) == offers
    assert "PENDING" not in (await floor.offers()).values()
    await venue.check_money()
    await floor.finish(0)
    assert await floor.status() == "SETTLED"
    await venue.check_money()
    venue.check_history()


async def test_what_an_outage_left_pending_is_taken_up_in_one_round(venue: Venue, floor: Floor) -> None:
    venue.ledger.mood = Mood.DEAF
    told = await asyncio.gather(
        *(floor.place(venue.bettor(), 0, (1, 1), 100) for _ in range(100)), return_exceptions=True
    )
    assert {type(each) for each in told} == {OfferPending}
    venue.ledger.mood = Mood.WELL
    venue.clock.ahead = timedelta(seconds=11)
    assert await venue.placing.resume() == 100
    assert set((await floor.offers()).values()) == {"OPEN"}
    await venue.check_money()


@pytest.mark.parametrize("mood", [Mood.DEAF, Mood.MUTE, Mood.BUSY, Mood.BROKEN, Mood.UNDECIDED])
async def test_a_hold_without_an_answer_is_asked_again_with_its_key(
    venue: Venue, floor: Floor, mood: Mood
) -> None:
    ana = venue.bettor()
    venue.ledger.mood = mood
    with pytest.raises(OfferPending) as pending:
        await floor.place(ana, 0, (1, 1), 100, key="tap")
    assert pending.value.retry_after is not None
    with pytest.raises(KeyInFlight):
        await floor.place(ana, 0, (1, 1), 100, key="tap")
    (offer,) = await floor.offers()
    with pytest.raises(OfferPending):
        await floor.cancel(ana, offer)

    assert await venue.placing.resume() == 0  # its request has not run out of patience
    venue.clock.ahead = timedelta(seconds=11)
    assert await venue.placing.resume() == 1
    assert await floor.offers() == {offer: "PENDING"}
    assert await venue.placing.resume() == 0  # it backs off

    venue.ledger.mood = Mood.WELL
    await venue.sweep()
    answer = await floor.place(ana, 0, (1, 1), 100, key="tap")
    assert (answer.id, answer.status, answer.replayed) == (offer, "OPEN", True)
    assert venue.books.of(ana) == {"available": "900.00", "held": "100.00"}
    await venue.check_money()


async def test_holds_asked_for_meanwhile_go_in_one_request(venue: Venue, floor: Floor) -> None:
    """Thirty bettors, three of them poor: each has an answer of its own."""
    venue.ledger.slow_seconds = 0.1
    people = [venue.bettor("5.00" if number % 10 == 0 else "100.00") for number in range(30)]
    answers = await asyncio.gather(*(floor.place(each, 0, (1, 1), 50) for each in people))
    assert [answer.http for answer in answers] == [422 if number % 10 == 0 else 201 for number in range(30)]
    assert venue.ledger.largest > 5
    assert venue.ledger.requests < 15
    await venue.check_money()


async def test_a_request_refused_as_a_whole_hurts_nobody_but_the_guilty(venue: Venue, floor: Floor) -> None:
    venue.ledger.slow_seconds, venue.ledger.mood = 0.1, Mood.SUSPICIOUS
    answers = await asyncio.gather(*(floor.place(venue.bettor(), 0, (1, 1), 50) for _ in range(10)))
    assert {answer.http for answer in answers} == {201}
    assert venue.ledger.largest > 1
    await venue.check_money()


async def test_an_answer_about_something_else_decides_nothing(venue: Venue, floor: Floor) -> None:
    """Rich and poor ask together, and the answers are mixed up: nobody's offer may end by another one's answer."""
    venue.ledger.slow_seconds, venue.ledger.mood = 0.1, Mood.CONFUSED
    people = [venue.bettor("5.00" if number % 2 else "100.00") for number in range(8)]
    asked = (floor.place(each, 0, (1, 1), 50, key=f"tap-{number}") for number, each in enumerate(people))
    await asyncio.gather(*asked, return_exceptions=True)
    venue.ledger.slow_seconds, venue.ledger.mood = 0.0, Mood.WELL
    await venue.sweep()
    for number, each in enumerate(people):
        answer = await floor.place(each, 0, (1, 1), 50, key=f"tap-{number}")
        assert answer.http == (422 if number % 2 else 201)
    await venue.check_money()


async def test_a_hold_refused_late_is_a_rejection(venue: Venue, floor: Floor) -> None:
    poor = venue.bettor("1.00")
    venue.ledger.mood = Mood.DEAF
    with pytest.raises(OfferPending):
        await floor.place(poor, 0, (1, 1), 100, key="tap")
    venue.ledger.mood = Mood.WELL
    await venue.sweep()
    answer = await floor.place(poor, 0, (1, 1), 100, key="tap")
    assert (answer.http, answer.problem) == (422, "/problems/insufficient-funds")
    assert await floor.offers() == {answer.id: "REJECTED"}


@pytest.mark.parametrize("end", ["close", "scratch"])
async def test_a_hold_that_comes_after_the_gate_goes_back(venue: Venue, floor: Floor, end: str) -> None:
    ana = venue.bettor()
    venue.ledger.mood = Mood.MUTE
    with pytest.raises(OfferPending):
        await floor.place(ana, 0, (1, 1), 100, key="tap")
    await (floor.close() if end == "close" else floor.scratch())
    venue.ledger.mood = Mood.WELL
    await venue.sweep()

    answer = await floor.place(ana, 0, (1, 1), 100, key="tap")
    assert (answer.http, answer.problem) == (409, "/problems/market-not-open")
    assert await floor.offers() == {answer.id: "LAPSED"}
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "1000.00", "held": "0.00"}
    await venue.check_money()
    venue.check_history()


async def test_request_and_sweeper_at_once_place_one_offer(venue: Venue, floor: Floor) -> None:
    ana = venue.bettor()
    venue.ledger.slow_seconds = 1.0
    venue.restart(timedelta(0))
    asked = asyncio.create_task(floor.place(ana, 0, (1, 1), 100, key="tap"))
    while "PENDING" not in (await floor.offers()).values():
        await asyncio.sleep(0.01)
    taken_up = await asyncio.gather(*(venue.placing.resume() for _ in range(3)))
    assert sum(taken_up) == 1, "the request and one sweeper"
    with suppress(OfferPending):
        await asked
    again = await floor.place(ana, 0, (1, 1), 100, key="tap")
    assert await floor.offers() == {again.id: "OPEN"}
    assert venue.books.of(ana)["held"] == "100.00"
    await venue.deliver()
    assert len([message for message in venue.heard if message.type == OfferPlaced.type]) == 1
    venue.check_history()


async def test_request_and_sweeper_at_once_reject_one_offer(venue: Venue, floor: Floor) -> None:
    """In one process and beside another one that has the same offer."""
    poor = venue.bettor("1.00")
    venue.ledger.slow_seconds = 1.0
    venue.restart(timedelta(0))
    here = venue.placing
    asked = asyncio.create_task(floor.place(poor, 0, (1, 1), 100, key="tap"))
    while "PENDING" not in (await floor.offers()).values():
        await asyncio.sleep(0.01)
    venue.restart(timedelta(0))
    await asyncio.gather(here.resume(), venue.placing.resume())
    with suppress(OfferPending):
        await asked
    again = await floor.place(poor, 0, (1, 1), 100, key="tap")
    assert (again.http, again.problem) == (422, "/problems/insufficient-funds")
    assert await floor.offers() == {again.id: "REJECTED"}
    await venue.deliver()
    assert len([message for message in venue.heard if message.type == OfferRejected.type]) == 1
    venue.check_history()


async def test_a_settlement_cut_off_anywhere_is_finished(venue: Venue) -> None:
    waits, cut = 0, True
    while cut:
        floor = await venue.market()
        for side in (0, 1):
            await floor.place(venue.bettor(), side, (1, 1), 100)
        await floor.close()
        await floor.declare(0)
        await floor.declare(0, judge=JUDGES[1])
        await venue.time_passes()

        async def settle(market: Floor = floor) -> Answer:
            await venue.settling.settle(market.market.id)
            return Answer(200, "")

        cut = await interrupted(settle(), waits)
        await venue.settling.settle_due()
        await venue.deliver()
        assert await floor.status() == "SETTLED", waits
        waits += 1
    assert waits > 8
    await venue.check_money()
    venue.check_history()
