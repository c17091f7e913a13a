"""What others know of people and betting acts on: exclusions of identity's, debts of the ledger's."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from betting.api.views import RaceView
from betting.domain.ids import RaceId, UserId
from betting.domain.races import Race
from betting.ledger import Purse
from common.errors import DomainError
from common.idempotency import Answer
from contracts.identity import PlayPolicyChanged

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.fake_ledger import Mood
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue


@pytest.fixture
async def floor(venue: Venue) -> Floor:
    return await venue.market()


def policy(user: UserId, *, for_: timedelta | None, told: timedelta = timedelta(0)) -> PlayPolicyChanged:
    now = datetime.now(UTC)
    until = None if for_ is None else now + for_
    return PlayPolicyChanged(user_id=user, excluded_until=until, changed_at=now + told)


async def test_who_excludes_themselves_loses_open_offers_and_keeps_bets(venue: Venue, floor: Floor) -> None:
    ana, beto, carla = venue.bettor(), venue.bettor(), venue.bettor()
    made = await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 60)
    hers = await floor.place(carla, 0, (1, 1), 50)
    await venue.excluding.told(policy(ana, for_=timedelta(days=1)))
    assert await floor.offers() == {**await floor.offers(), made.id: "CANCELLED", hers.id: "OPEN"}
    assert ("CANCELLED", "BETTOR_EXCLUDED") in await floor.ends()
    with pytest.raises(DomainError, match="excluded yourself"):
        await floor.place(ana, 0, (1, 1), 10)
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "940.00", "held": "0.00"}
    await floor.finish(0)
    assert venue.books.of(ana)["available"] == "1058.20"  # the bet stood: 60 more, less 3 % of it
    await venue.check_money()
    venue.check_history()


async def test_a_stake_held_before_the_exclusion_goes_back(venue: Venue, floor: Floor) -> None:
    """The exclusion comes between the hold and the floor."""
    ana = venue.bettor()
    venue.ledger.mood = Mood.MUTE
    with pytest.raises(DomainError):
        await floor.place(ana, 0, (1, 1), 100, key="tap")
    venue.ledger.mood = Mood.WELL
    await venue.excluding.told(policy(ana, for_=timedelta(days=1)))
    await venue.sweep()
    assert await floor.ends() == {("LAPSED", "BETTOR_SUSPENDED")}
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "1000.00", "held": "0.00"}


async def test_an_earlier_word_that_comes_late_changes_nothing(venue: Venue, floor: Floor) -> None:
    ana = venue.bettor()
    await venue.excluding.told(policy(ana, for_=None))
    await venue.excluding.told(policy(ana, for_=timedelta(days=1), told=timedelta(seconds=-5)))
    assert (await floor.place(ana, 0, (1, 1), 10)).http == 201
    with pytest.raises(asyncpg.CheckViolationError, match="an earlier word came late"):
        await venue.owner.execute("UPDATE exclusion SET changed_at = changed_at - interval '1 hour'")


async def test_an_exclusion_that_is_over_bars_nobody(venue: Venue, floor: Floor) -> None:
    ana = venue.bettor()
    await venue.excluding.told(policy(ana, for_=timedelta(seconds=-1)))
    assert (await floor.place(ana, 0, (1, 1), 10)).http == 201


async def in_debt(venue: Venue, floor: Floor, spent: int = 1_000) -> tuple[UserId, UserId]:
    """Ana was paid by mistake and has spent it; the result is corrected, and she owes 100 pesos."""
    ana, beto = venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 100)
    await floor.finish(0)
    venue.books.balances[f"players/{ana}/available"] -= spent
    shown: list[Race] = []

    def show(race: Race) -> Answer:
        shown.append(race)
        return Answer.of(RaceView.of(race))

    for judge in (JUDGES[0], UserId(UUID(int=78))):
        await venue.officiating.correct(call(judge), RaceId(floor.race.id), floor.seen(1), "misread", show)
    await venue.settling.settle_due()
    await venue.deliver()
    assert venue.books.of(ana)["debt"] == "-100.00"
    return ana, beto


async def test_a_debt_is_repaid_out_of_what_comes_later(venue: Venue, floor: Floor) -> None:
    ana, _ = await in_debt(venue, floor)
    assert await venue.collecting.collect() == 1  # there is nothing to repay with
    assert await venue.collecting.collect() == 0  # and nobody is asked about all the time
    assert venue.books.of(ana)["debt"] == "-100.00"
    for pesos, owed, left in (("30.00", "-70.00", "0.00"), ("500.00", "0.00", "430.00")):
        venue.books.fund(ana, pesos)
        venue.books.sequences[f"players/{ana}/available"] += 1
        venue.clock.ahead += timedelta(seconds=6)
        await asyncio.gather(*(venue.collecting.collect() for _ in range(4)))
        assert (venue.books.of(ana)["debt"], venue.books.of(ana)["available"]) == (owed, left)
        repaid = [entry for key, entry in venue.books.answers.items() if key.startswith("repay:")]
        await venue.hear(repaid[-1])  # type: ignore[arg-type]  # it was not refused
    venue.clock.ahead += timedelta(seconds=6)
    assert await venue.collecting.collect() == 0


async def test_a_repayment_that_is_not_heard_of_yet_is_not_made_twice(venue: Venue, floor: Floor) -> None:
    """The answer is lost, or the event is slow: the next look finds the same debt, and less money."""
    ana, _ = await in_debt(venue, floor)
    venue.books.fund(ana, "60.00")
    for _ in range(3):
        venue.clock.ahead += timedelta(seconds=6)
        assert await venue.collecting.collect() == 1
    assert (venue.books.of(ana)["debt"], venue.books.of(ana)["available"]) == ("-40.00", "0.00")


async def test_a_refused_repayment_is_no_obstacle_to_the_next(
    venue: Venue, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The money was gone again when the ledger was asked: it says no under that key, for ever."""
    ana, _ = await in_debt(venue, floor)
    available = venue.collecting._purses.available

    async def before_it_went(user: UserId, currency: str) -> Purse:
        return Purse(6_000, (await available(user, currency)).sequence)

    with monkeypatch.context() as earlier:
        earlier.setattr(venue.collecting._purses, "available", before_it_went)
        venue.clock.ahead += timedelta(seconds=6)
        assert await venue.collecting.collect() == 1
    assert venue.books.of(ana)["debt"] == "-100.00"
    venue.books.fund(ana, "60.00")
    venue.books.sequences[f"players/{ana}/available"] += 1
    venue.clock.ahead += timedelta(seconds=6)
    assert await venue.collecting.collect() == 1
    assert venue.books.of(ana)["debt"] == "-40.00"


async def test_what_is_heard_late_does_not_raise_a_debt_again(venue: Venue, floor: Floor) -> None:
    ana, _ = await in_debt(venue, floor)
    before = [entry for key, entry in venue.books.answers.items() if key.startswith("resettle:")]
    venue.books.fund(ana, "100.00")
    venue.clock.ahead += timedelta(seconds=6)
    await venue.collecting.collect()
    (repaid,) = [entry for key, entry in venue.books.answers.items() if key.startswith("repay:")]
    for entry in (repaid, *before, repaid):
        await venue.hear(entry)  # type: ignore[arg-type]  # none of them was refused
    assert str(await venue.owner.fetchval("SELECT owed FROM debt WHERE user_id = $1", ana)) == "0.00"
    with pytest.raises(asyncpg.CheckViolationError, match="an earlier word came late"):
        await venue.owner.execute("UPDATE debt SET sequence = sequence - 1")


async def test_the_same_look_repays_once(venue: Venue, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two settlers look at the same moment, or one looks again before anything was told: one repayment."""
    ana, _ = await in_debt(venue, floor)
    venue.books.fund(ana, "90.00")

    async def one_moment(_: UserId, __: str) -> Purse:
        return Purse(3_000, 17)

    monkeypatch.setattr(venue.collecting._purses, "available", one_moment)
    for _ in range(3):
        venue.clock.ahead += timedelta(seconds=6)
        assert await venue.collecting.collect() == 1
    assert (venue.books.of(ana)["debt"], venue.books.of(ana)["available"]) == ("-70.00", "60.00")
