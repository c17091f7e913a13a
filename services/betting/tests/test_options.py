"""What a bettor may ask of an offer, and what nobody may place."""

import asyncio
import json
from datetime import timedelta

import pytest
from betting.api.own_views import CancelAllView, CancelView
from betting.api.registry_views import SuspensionView
from betting.domain.errors import (
    BettingSuspended,
    ChallengeNotFound,
    ConnectionBarred,
    DuplicateSlip,
    ExposureExceeded,
    MarketNotOpen,
    OfficialBarred,
    StaleMarket,
)
from betting.domain.ids import OfferId, SuspensionId, UserId
from betting.domain.markets import CloseRule
from betting.domain.offers import Options
from betting.service.desk import record_of
from betting.store.accounts import AccountStore
from betting.store.desk import DeskStore
from betting.store.suspensions import Scope, Suspension
from common.idempotency import Answer
from common.pg import transaction

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue


@pytest.fixture
async def floor(venue: Venue) -> Floor:
    return await venue.market()


async def test_fill_or_kill_leaves_nothing_behind(venue: Venue, floor: Floor) -> None:
    ana = venue.bettor()
    await floor.place(venue.bettor(), 0, (1, 1), 100)
    killed = await floor.place(ana, 1, (1, 1), 150, options=Options(fill_or_kill=True))
    assert (killed.status, killed.fills) == ("KILLED", 0)
    filled = await floor.place(ana, 1, (1, 1), 60, options=Options(fill_or_kill=True))
    assert (filled.status, filled.matched) == ("FILLED", "60.00")
    partly = await floor.place(ana, 1, (1, 1), 100, options=Options(fill_or_kill=True, min_fill=4_000))
    assert (partly.status, partly.matched) == ("KILLED", "40.00")
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "900.00", "held": "0.00"}
    await venue.check_money()
    venue.check_history()


async def test_an_offer_expires_by_itself_and_is_never_matched_late(venue: Venue, floor: Floor) -> None:
    ana, beto = venue.bettor(), venue.bettor()
    soon = Options(expires_at=venue.clock() + timedelta(seconds=8))
    made = await floor.place(ana, 0, (1, 1), 100, options=soon)
    venue.clock.ahead = timedelta(seconds=10)
    taken = await floor.place(beto, 1, (1, 1), 100)  # before any deadline was looked at
    assert (taken.status, (await floor.offers())[made.id]) == ("OPEN", "EXPIRED")

    other = Options(expires_at=venue.clock() + timedelta(seconds=8))
    second = await floor.place(ana, 0, (1, 2), 100, options=other)
    venue.restart()  # the deadline is in the database, not in a process
    venue.clock.ahead = timedelta(seconds=20)
    await venue.time_passes()
    assert (await floor.offers())[second.id] == "EXPIRED"
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "1000.00", "held": "0.00"}
    await venue.check_money()
    venue.check_history()


async def test_a_challenge_is_between_two(venue: Venue, floor: Floor) -> None:
    ana, beto, carla = venue.bettor(), venue.bettor(), venue.bettor()
    challenge = await floor.place(ana, 0, (5, 4), 100, options=Options(challenges=beto))
    _, levels = await venue.reading.market(floor.market.id)
    assert levels == []
    answers = Options(answers=OfferId(challenge.id))
    passer_by = await floor.place(carla, 1, (4, 5), 80)
    stranger = await floor.place(carla, 1, (4, 5), 80, options=answers)
    assert (passer_by.status, stranger.status) == ("OPEN", "KILLED")
    ((seen, _),) = await venue.reading.challenges(beto)
    assert seen.id == challenge.id
    taken = await floor.place(beto, 1, (4, 5), 40, options=answers)
    assert (taken.status, taken.matched) == ("FILLED", "40.00")
    with pytest.raises(ChallengeNotFound):
        await venue.trading.decline(
            call(carla), OfferId(challenge.id), lambda done: Answer.of(CancelView.of(done))
        )
    await venue.trading.decline(
        call(beto), OfferId(challenge.id), lambda done: Answer.of(CancelView.of(done))
    )
    assert (await floor.offers())[challenge.id] == "CANCELLED"
    await venue.deliver()
    await venue.check_money()


async def test_an_answer_on_the_challengers_own_side_is_killed(venue: Venue, floor: Floor) -> None:
    ana, beto = venue.bettor(), venue.bettor()
    challenge = await floor.place(ana, 0, (1, 1), 100, options=Options(challenges=beto))
    answers = Options(answers=OfferId(challenge.id))
    answer = await floor.place(beto, 0, (1, 1), 100, options=answers)
    assert (answer.http, answer.status, answer.fills) == (201, "KILLED", 0)
    assert (await floor.place(beto, 1, (1, 1), 100, options=answers)).status == "FILLED"
    await venue.deliver()
    assert venue.books.of(beto) == {"available": "900.00", "held": "0.00"}
    await venue.check_money()


async def test_cancel_all_takes_back_everything_and_once(venue: Venue) -> None:
    floors = [await venue.market() for _ in range(3)]
    ana = venue.bettor()
    for floor in floors:
        for _ in range(2):
            await floor.place(ana, 0, (1, 1), 50)

    async def cancel_all() -> list[str]:
        answer = await venue.trading.cancel_all(
            call(ana, "all"), None, lambda done: Answer.of(CancelAllView.of(done))
        )
        return [item["cancelled"] for item in json.loads(answer.body)["items"]]

    assert await cancel_all() == ["50.00"] * 6
    await floors[0].place(ana, 0, (1, 1), 50)
    assert await cancel_all() == ["50.00"] * 6  # the same answer, and nothing more is cancelled
    assert list((await floors[0].offers()).values()).count("OPEN") == 1
    await venue.deliver()
    await venue.check_money()


async def test_the_same_slip_twice_needs_a_word(venue: Venue, floor: Floor) -> None:
    ana = venue.bettor()
    await floor.place(ana, 0, (1, 1), 50, repeat=False)
    with pytest.raises(DuplicateSlip):
        await floor.place(ana, 0, (1, 1), 50, repeat=False)
    await floor.place(ana, 0, (1, 1), 55, repeat=False)
    await floor.place(ana, 0, (1, 1), 50, repeat=True)
    venue.clock.ahead = timedelta(seconds=4)
    await floor.place(ana, 0, (1, 1), 50, repeat=False)

    beto = venue.bettor()
    taps = [floor.place(beto, 0, (1, 1), 50, repeat=False) for _ in range(10)]
    answers = await asyncio.gather(*taps, return_exceptions=True)
    assert sum(isinstance(answer, DuplicateSlip) for answer in answers) == 9


async def test_nobody_risks_more_than_the_market_allows(venue: Venue) -> None:
    floor = await venue.market(max_stake=10_000, max_exposure=15_000)
    ana = venue.bettor()
    storm = [floor.place(ana, 0, (1, 1), 50) for _ in range(5)]
    answers = await asyncio.gather(*storm, return_exceptions=True)
    assert sum(isinstance(answer, ExposureExceeded) for answer in answers) == 2


async def test_officials_and_connections_are_barred(venue: Venue, floor: Floor) -> None:
    owner, groom = venue.bettor(), venue.bettor()
    stable = await venue.stable("Cuadra Reyna", owner, groom)
    await venue.runs_for(floor.race, 0, stable)
    with pytest.raises(ConnectionBarred):
        await floor.place(owner, 1, (1, 1), 50)
    made = await floor.place(owner, 0, (1, 1), 50)
    assert made.status == "OPEN"
    judge = venue.bettor()
    await venue.registry.appoint(call(JUDGES[0]), floor.race.event_id, judge, lambda _: Answer(200, "{}"))
    with pytest.raises(OfficialBarred):
        await floor.place(judge, 0, (1, 1), 50)


async def test_a_stable_is_never_matched_with_itself(venue: Venue, floor: Floor) -> None:
    owner, groom = venue.bettor(), venue.bettor()
    await venue.stable("Cuadra Reyna", owner, groom)
    await floor.place(owner, 0, (1, 1), 50)
    met = await floor.place(groom, 1, (1, 1), 50)
    assert (met.status, met.fills) == ("CANCELLED", 0)


async def test_the_wager_record_is_what_was_agreed(venue: Venue, floor: Floor) -> None:
    ana = venue.bettor()
    made = await floor.place(ana, 0, (5, 4), 100)
    await floor.place(venue.bettor(), 1, (4, 5), 40)
    async with transaction(venue.pool) as conn:
        record = await AccountStore(conn).record(OfferId(made.id), ana)
        stall = (await DeskStore(conn).stalls([floor.market.id]))[floor.market.id]
    told = json.loads(record)
    assert (told["stake_minor"], told["potential_win_minor"], told["bettor"]) == (10_000, 8_000, str(ana))
    assert told["terms_sha256"] == floor.market.terms.digest.hex()
    offer = (await venue.reading.offer(OfferId(made.id), ana)).offer
    assert record_of(offer, stall, None) == record  # nothing in it moves when the offer does


async def test_a_suspended_person_bets_no_more_and_bets_stand(venue: Venue, floor: Floor) -> None:
    ana, beto = venue.bettor(), venue.bettor()
    made = await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 30)
    await venue.suspending.impose(
        call(JUDGES[0]), Scope.USER, ana, "self-exclusion", lambda each: Answer.of(SuspensionView.of(each))
    )
    assert (await floor.offers())[made.id] == "CANCELLED"
    with pytest.raises(BettingSuspended):
        await floor.place(ana, 0, (1, 1), 100)
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "970.00", "held": "0.00"}
    await floor.finish(0)
    assert venue.books.of(ana)["available"] == "1029.10"
    await venue.check_money()


async def test_a_market_is_suspended_and_opens_again_at_another_version(venue: Venue, floor: Floor) -> None:
    kept: list[Suspension] = []

    def show(each: Suspension) -> Answer:
        kept.append(each)
        return Answer.of(SuspensionView.of(each))

    other = await venue.market()
    made = await floor.place(venue.bettor(), 0, (1, 1), 100)
    for scope, subject in (
        (Scope.MARKET, floor.market.id),
        (Scope.EVENT, floor.race.event_id),
        (Scope.GLOBAL, None),
    ):
        await venue.suspending.impose(call(JUDGES[0]), scope, subject, "protest", show)
        with pytest.raises(MarketNotOpen):
            await floor.place(venue.bettor(), 1, (1, 1), 100)
    assert (await floor.status(), await other.status()) == ("SUSPENDED", "SUSPENDED")
    owner = UserId(await venue.owner.fetchval("SELECT user_id FROM offer WHERE id = $1", made.id))
    assert await floor.cancel(owner, made.id) == 10_000  # what rests can be taken back
    for each in kept:
        await venue.suspending.lift(
            call(JUDGES[0]), SuspensionId(each.id), "over", lambda _: Answer(200, "{}")
        )
    assert (await floor.status(), await other.status()) == ("OPEN", "OPEN")
    with pytest.raises(StaleMarket):
        await floor.place(venue.bettor(), 1, (1, 1), 100)
    assert (await floor.place(venue.bettor(), 1, (1, 1), 100, version=3)).status == "OPEN"
    moves = await venue.reading.transitions(floor.market.id)
    assert [(move.was, move.became) for move in moves] == [
        (None, "DRAFT"), ("DRAFT", "OPEN"), ("OPEN", "SUSPENDED"), ("SUSPENDED", "OPEN"),
    ]  # fmt: skip
    assert [move.reason for move in moves][2:] == ["protest", "the suspension was lifted"]
    await venue.deliver()
    venue.check_history()


async def test_a_market_closes_at_post_time_whatever_anybody_does(venue: Venue) -> None:
    floor = await venue.market(close_rule=CloseRule.POST_TIME)
    made = await floor.place(venue.bettor(), 0, (1, 1), 100)
    venue.clock.ahead = timedelta(hours=2)
    await venue.time_passes()
    assert (await floor.status(), (await floor.offers())[made.id]) == ("CLOSED", "LAPSED")


async def test_the_history_of_a_market_replays_to_its_book(venue: Venue, floor: Floor) -> None:
    ana = venue.bettor("100000.00")
    offers = [
        await floor.place(ana, side, ratio, 18) for side in (0, 1) for ratio in ((4, 5), (9, 10), (1, 2))
    ]
    await floor.place(venue.bettor(), 1, (5, 4), 20)
    await floor.cancel(ana, offers[0].id)
    await floor.place(venue.bettor(), 0, (2, 1), 40)
    replayed: dict[tuple[str, int], int] = {}
    after = 0
    while True:
        _, changes = await venue.reading.market_changes(floor.market.id, after=after, limit=3)
        if not changes:
            break
        for change in changes:
            for level in change.levels:
                replayed[level.side, level.ratio.rank] = level.amount
        after = changes[-1].sequence
    _, book = await venue.reading.market(floor.market.id)
    assert {key: amount for key, amount in replayed.items() if amount} == {
        (level.side, level.ratio.rank): level.amount for level in book
    }
