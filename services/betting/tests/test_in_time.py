"""What comes too late, or at the same moment as what forbids it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from betting.api.registry_views import SuspensionView
from betting.domain.errors import MarketNotOpen, OfficialHasBet
from betting.domain.events import Event
from betting.domain.ids import EventId, MarketId
from betting.domain.markets import CloseRule
from betting.domain.offers import Options
from betting.store.desk import DeskStore, Written
from betting.store.exchange import ExchangeStore, Waiting
from betting.store.programme import ProgrammeStore
from betting.store.suspensions import Scope, Suspension, SuspensionStore
from common.idempotency import Answer

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.fake_ledger import Mood
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue


@pytest.fixture
async def floor(venue: Venue) -> Floor:
    return await venue.market()


async def test_an_offer_whose_hold_took_longer_than_its_own_time_meets_nobody(
    venue: Venue, floor: Floor
) -> None:
    ana, beto = venue.bettor(), venue.bettor()
    waiting = await floor.place(beto, 0, (1, 1), 100)
    venue.ledger.mood = Mood.MUTE
    with suppress(Exception):
        await floor.place(
            ana, 1, (1, 1), 100, options=Options(expires_at=venue.clock() + timedelta(minutes=5))
        )
    venue.ledger.mood = Mood.WELL
    venue.clock.ahead = timedelta(minutes=10)
    await venue.sweep()
    assert (await floor.offers())[waiting.id] == "OPEN"
    assert ("EXPIRED", "TIME_OVER") in await floor.ends()
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "1000.00", "held": "0.00"}
    await venue.check_money()
    venue.check_history()


async def test_nothing_is_placed_or_matched_after_post_time_though_nobody_has_closed_the_market(
    venue: Venue,
) -> None:
    floor = await venue.market(close_rule=CloseRule.POST_TIME)
    ana = venue.bettor()
    await floor.place(venue.bettor(), 0, (1, 1), 100)
    venue.ledger.mood = Mood.MUTE
    with suppress(Exception):
        await floor.place(ana, 1, (1, 1), 100)
    venue.ledger.mood = Mood.WELL
    venue.clock.ahead = timedelta(hours=2)  # and the deadlines' worker is late
    with pytest.raises(MarketNotOpen):
        await floor.place(venue.bettor(), 1, (1, 1), 100)
    await venue.sweep()
    assert ("LAPSED", "MARKET_CLOSED") in await floor.ends()
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "1000.00", "held": "0.00"}
    await venue.check_money()


async def test_a_market_is_closed_after_its_last_bet(
    venue: Venue, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offers still meet while the gate waits for the market's row; the moment it closed is later than all of them."""
    look = ProgrammeStore.event_for_update

    async def look_slowly(store: ProgrammeStore, event_id: EventId) -> Event:
        for side in (0, 1):
            await floor.place(venue.bettor(), side, (1, 1), 50)
        return await look(store, event_id)

    monkeypatch.setattr(ProgrammeStore, "event_for_update", look_slowly)
    await floor.close()
    in_order: bool = await venue.owner.fetchval(
        "SELECT bool_and(f.matched_at < m.closed_at) FROM fill f JOIN market m ON m.id = f.market_id"
    )
    assert in_order


async def test_who_is_betting_at_this_moment_does_not_officiate(
    venue: Venue, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = venue.bettor()
    write_down = DeskStore.write_down
    declaring: list[asyncio.Task[Answer]] = []

    async def write_slowly(store: DeskStore, written: Sequence[Written]) -> None:
        await write_down(store, written)
        await floor.close()
        declaring.append(asyncio.create_task(floor.declare(0, judge=judge)))
        await asyncio.wait(declaring, timeout=0.5)

    monkeypatch.setattr(DeskStore, "write_down", write_slowly)
    await floor.place(judge, 0, (1, 1), 50)
    with pytest.raises(OfficialHasBet):
        await declaring[0]


async def test_who_is_suspended_while_the_floor_is_busy_with_their_offer_rests_nowhere(
    venue: Venue, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a suspension has been imposed nothing of theirs is placed any more, nor is anything on its way."""
    ana = venue.bettor()
    look = ExchangeStore.waiting
    imposing: list[asyncio.Task[Answer]] = []
    stood: list[dict[Any, str]] = []

    async def impose() -> Answer:
        answer = await venue.suspending.impose(
            call(JUDGES[0]), Scope.USER, ana, "protest", lambda each: Answer.of(SuspensionView.of(each))
        )
        stood.append(await floor.offers())
        return answer

    async def look_slowly(store: ExchangeStore, *asked: Any) -> dict[Any, Waiting]:
        found = await look(store, *asked)
        monkeypatch.undo()
        imposing.append(asyncio.create_task(impose()))
        await asyncio.wait(imposing, timeout=0.5)
        return found

    monkeypatch.setattr(ExchangeStore, "waiting", look_slowly)
    made = await floor.place(ana, 0, (1, 1), 100)
    await imposing[0]
    assert stood[0][made.id] == (await floor.offers())[made.id] == "CANCELLED"


async def test_a_market_that_opens_while_its_event_is_suspended_is_suspended_with_it(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opening has looked for suspensions, and has not been committed when one is imposed."""
    race = await venue.race()
    look = SuspensionStore.stopping
    imposing: list[asyncio.Task[Answer]] = []
    stood: list[str] = []

    async def impose() -> Answer:
        answer = await venue.suspending.impose(
            call(JUDGES[0]),
            Scope.EVENT,
            race.event_id,
            "storm",
            lambda each: Answer.of(SuspensionView.of(each)),
        )
        stood.append(await venue.owner.fetchval("SELECT status FROM market WHERE race_id = $1", race.id))
        return answer

    async def look_slowly(store: SuspensionStore, market: MarketId) -> Suspension | None:
        found = await look(store, market)
        monkeypatch.undo()
        imposing.append(asyncio.create_task(impose()))
        await asyncio.wait(imposing, timeout=0.5)
        return found

    monkeypatch.setattr(SuspensionStore, "stopping", look_slowly)
    await venue.market(race=race)
    await imposing[0]
    assert stood == ["SUSPENDED"]
