"""Who becomes one of a stable or an official while offers of theirs rest, and whose horse comes into the race."""

import asyncio
from typing import Any

import pytest
from betting.api.registry_views import StableView
from betting.domain.ids import StableId, UserId
from betting.domain.offers import Options
from betting.store.exchange import ExchangeStore, Waiting
from common.errors import DomainError
from common.idempotency import Answer
from contracts.betting import OfferLapsed

from services.betting.tests.asking import JUDGES, call, insist
from services.betting.tests.fake_ledger import Mood
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue

BARRED = ("CANCELLED", "BETTOR_BARRED")


@pytest.fixture
async def floor(venue: Venue) -> Floor:
    return await venue.market()


async def join(venue: Venue, stable: StableId, user: UserId) -> Answer:
    return await venue.registry.add_member(
        call(JUDGES[0]), stable, user, "GROOM", lambda each: Answer.of(StableView.of(each))
    )


async def appoint(venue: Venue, floor: Floor, official: UserId) -> Answer:
    return await venue.registry.appoint(
        call(JUDGES[0]), floor.race.event_id, official, lambda _: Answer(200, "{}")
    )


async def test_who_joins_a_stable_meets_none_of_it_with_what_they_offered_before(
    venue: Venue, floor: Floor
) -> None:
    """In whatever market. What was matched stands, also with one of the stable: it was made between strangers."""
    owner, groom, carla = venue.bettor(), venue.bettor(), venue.bettor()
    stable, other = await venue.stable("Cuadra Reyna", owner), await venue.market()
    made = await floor.place(groom, 0, (1, 1), 100)
    await floor.place(owner, 1, (1, 1), 60)
    await other.place(groom, 0, (5, 4), 50, options=Options(challenges=carla))
    hers = await floor.place(carla, 0, (1, 2), 50)
    await join(venue, stable, groom)
    assert await floor.offers() == {**await floor.offers(), made.id: "CANCELLED", hers.id: "OPEN"}
    assert BARRED in await floor.ends()
    assert await other.ends() == {BARRED}
    met = await floor.place(owner, 1, (1, 1), 40)
    assert (met.status, met.fills) == ("OPEN", 0)
    again = await floor.place(groom, 0, (1, 1), 40)
    assert (again.status, again.fills) == ("CANCELLED", 0)
    await venue.deliver()
    assert venue.books.of(groom) == {"available": "940.00", "held": "0.00"}
    told = [each.read(OfferLapsed) for each in venue.heard if each.type == OfferLapsed.type]
    assert sorted(each.released for each in told if each.reason == "BETTOR_BARRED") == ["40.00", "50.00"]
    await floor.finish(0)
    assert venue.books.of(groom)["available"] == "1058.20"  # 60 more, less 3 % of it
    await venue.check_money()
    venue.check_history()


async def test_a_stables_people_are_not_matched_against_a_horse_that_has_become_theirs(venue: Venue) -> None:
    race = await venue.race(("El Moro", "La Chula", "El Pinto"))
    pairs = {
        (one, other): await venue.market(race=race, runners=(race.runners[one].id, race.runners[other].id))
        for one, other in ((0, 1), (0, 2), (1, 2))
    }
    groom = venue.bettor()
    stable = await venue.stable("Cuadra Reyna", groom)
    for pair, floor in pairs.items():
        for runner in pair:
            await floor.place(groom, runner, (2, 1), 90)
    await venue.runs_for(race, 0, stable)
    rests = {
        (row["market_id"], row["side"])
        for row in await venue.owner.fetch("SELECT market_id, side FROM offer WHERE status = 'OPEN'")
    }
    assert rests == {(pairs[0, 1].market.id, "A"), (pairs[0, 2].market.id, "A")}
    taken = await pairs[0, 1].place(venue.bettor(), 0, (1, 1), 90)
    assert (taken.status, taken.fills) == ("OPEN", 0)
    await venue.deliver()
    await venue.check_money()
    venue.check_history()


async def test_who_is_appointed_has_nothing_resting_at_the_event(venue: Venue, floor: Floor) -> None:
    official, elsewhere = venue.bettor(), await venue.market()
    await floor.place(official, 0, (1, 1), 100)
    await elsewhere.place(official, 0, (1, 1), 100)
    await appoint(venue, floor, official)
    assert (await floor.ends(), await elsewhere.ends()) == ({BARRED}, {("OPEN", None)})
    assert (await floor.place(venue.bettor(), 1, (1, 1), 100)).fills == 0
    await venue.deliver()
    await venue.check_money()


@pytest.mark.parametrize("change", ["joins", "officiates", "horse"])
async def test_what_is_on_its_way_then_is_given_back(venue: Venue, floor: Floor, change: str) -> None:
    """The stake was held for somebody who may not make the offer any more."""
    groom = venue.bettor()
    stable = await venue.stable("Cuadra Reyna", *([groom] if change == "horse" else []))
    await floor.place(venue.bettor(), 1, (1, 1), 100)
    venue.ledger.mood = Mood.MUTE
    with pytest.raises(DomainError):
        await floor.place(groom, 0, (1, 1), 100, key="tap")
    venue.ledger.mood = Mood.WELL
    if change == "joins":
        await join(venue, stable, groom)
    elif change == "officiates":
        await appoint(venue, floor, groom)
    else:
        await venue.runs_for(floor.race, 1, stable)
    await venue.sweep()
    assert await floor.ends() == {("OPEN", None), ("LAPSED", "BETTOR_BARRED")}
    answer = await floor.place(groom, 0, (1, 1), 100, key="tap")
    assert (answer.http, answer.problem.rpartition("/")[2]) == (409, "bettor-barred")
    await venue.deliver()
    assert venue.books.of(groom) == {"available": "1000.00", "held": "0.00"}
    await venue.check_money()


@pytest.mark.parametrize("change", ["joins", "officiates"])
async def test_who_is_barred_while_the_floor_is_busy_with_their_offer_rests_nowhere(
    venue: Venue, floor: Floor, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The floor has looked at them, and has not committed when they join."""
    groom, stable = venue.bettor(), await venue.stable("Cuadra Reyna")
    look = ExchangeStore.waiting
    changing: list[asyncio.Task[Answer]] = []

    async def look_slowly(store: ExchangeStore, *asked: Any) -> dict[Any, Waiting]:
        found = await look(store, *asked)
        monkeypatch.undo()
        changing.append(
            asyncio.create_task(
                join(venue, stable, groom) if change == "joins" else appoint(venue, floor, groom)
            )
        )
        await asyncio.wait(changing, timeout=0.5)
        return found

    monkeypatch.setattr(ExchangeStore, "waiting", look_slowly)
    await floor.place(groom, 0, (1, 1), 100)
    await changing[0]
    assert await floor.ends() == {BARRED}


async def join_while_taken(venue: Venue, stable: StableId, owner: UserId) -> None:
    floor, groom = await venue.market(), venue.bettor()
    await floor.place(groom, 0, (1, 1), 100)
    taker, *_ = await asyncio.gather(
        insist(lambda: floor.place(owner, 1, (1, 1), 100)),
        join(venue, stable, groom),
        insist(lambda: floor.place(groom, 0, (1, 1), 50)),
    )
    taken, ends = (await floor.offers())[taker.id], await floor.ends()
    assert taken == "FILLED" or (taken, BARRED in ends) == ("OPEN", True)


async def test_joining_at_the_moment_of_a_match(venue: Venue) -> None:
    """Whatever is first: a bet with one of the stable is made before they join, or it is not made."""
    owner = venue.bettor("100000.00")
    stable = await venue.stable("Cuadra Reyna", owner)
    for _ in range(30):
        await join_while_taken(venue, stable, owner)
    await venue.deliver()
    await venue.check_money()
    venue.check_history()


async def test_what_rests_of_a_time_when_nobody_ended_it_is_ended(venue: Venue, floor: Floor) -> None:
    groom, stable = venue.bettor(), await venue.stable("Cuadra Reyna")
    made = await floor.place(groom, 0, (1, 1), 100)
    async with venue.owner.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "INSERT INTO stable_member VALUES ($1, $2, 'GROOM', $3)", groom, stable, JUDGES[0]
        )
    assert (await floor.offers())[made.id] == "OPEN"
    assert await venue.suspending.keep_step() == 1
    assert await floor.ends() == {BARRED}
    assert await venue.suspending.keep_step() == 0
    await venue.deliver()
    await venue.check_money()
