"""From the photo to the payout: blind judges, objections, rulings, conformity, corrections, late bets, pairs."""

import json
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from betting.api.views import RaceView
from betting.domain.errors import OfficialConnected, OfficialHasBet, RaceStateConflict
from betting.domain.ids import RaceId, RunnerId, UserId
from betting.domain.margins import Margin
from betting.domain.markets import MarketKind, TieRule
from betting.domain.results import Declaration
from betting.domain.withholding import TaxRate
from betting.service.reading import Page
from common.idempotency import Answer
from common.roles import Role

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue


def shown(race: object) -> Answer:
    return Answer.of(RaceView.of(race))  # type: ignore[arg-type]  # a race


async def status(venue: Venue, floor: Floor) -> str:
    found: str = await venue.owner.fetchval("SELECT status FROM race WHERE id = $1", floor.race.id)
    return found


async def declared(floor: Floor, winner: int | None = 0) -> None:
    await floor.close()
    for judge in JUDGES:
        await floor.declare(winner, judge=judge)


async def a_bet(venue: Venue, floor: Floor) -> tuple[UserId, UserId]:
    """Ana risks 100 on the first, Beto 100 on the second."""
    ana, beto = venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 100)
    return ana, beto


async def settled(venue: Venue) -> None:
    await venue.settling.settle_due()
    await venue.deliver()


async def test_a_result_waits_for_its_window_and_settles_when_nobody_objects(venue: Venue) -> None:
    floor = await venue.market(objection_seconds=1)
    await a_bet(venue, floor)
    await declared(floor)
    await venue.time_passes()
    await settled(venue)
    assert (await status(venue, floor), await floor.status()) == ("CONFIRMED", "CLOSED")
    venue.restart()
    venue.clock.ahead = timedelta(
        seconds=2
    )  # the deadline is due, but the database says that it is too early
    await venue.deadlines.turn()
    assert await status(venue, floor) in {"CONFIRMED", "FINAL"}
    until = await venue.owner.fetchval("SELECT objection_until FROM race WHERE id = $1", floor.race.id)
    while datetime.now(UTC) <= until:
        await venue.owner.fetchval("SELECT pg_sleep(0.1)")
    venue.clock.ahead = timedelta(hours=1)
    await venue.time_passes()
    await settled(venue)
    assert (await status(venue, floor), await floor.status()) == ("FINAL", "SETTLED")
    moves = [move.became for move in await venue.reading.transitions(floor.race.id)]
    assert moves == ["SCHEDULED", "AT_GATE", "OFF", "FINISHED", "DECLARED", "CONFIRMED", "FINAL"]


async def test_an_objection_goes_to_a_third_official(venue: Venue) -> None:
    floor = await venue.market(objection_seconds=600)
    ana, beto = await a_bet(venue, floor)
    owner = venue.bettor()
    await venue.runs_for(floor.race, 1, await venue.stable("Cuadra Reyna", owner))
    await declared(floor)
    race = RaceId(floor.race.id)
    await venue.officiating.object_to(call(owner), race, "he was crossed", shown, official=False)
    assert await status(venue, floor) == "DISPUTED"
    for judge in JUDGES:
        answer = await venue.officiating.rule(call(judge), race, floor.seen(0), "we saw it", shown)
        assert answer.status == 409
    with pytest.raises(OfficialConnected):
        await venue.officiating.rule(call(owner), race, floor.seen(1), "mine won", shown)
    third = UserId(UUID(int=77))
    await venue.officiating.rule(call(third), race, floor.seen(1), "crossed at the last pole", shown)
    await settled(venue)
    assert (await status(venue, floor), await floor.status()) == ("FINAL", "SETTLED")
    assert venue.books.of(beto)["available"] == "1097.00"
    assert venue.books.of(ana)["available"] == "900.00"
    await venue.check_money()


async def test_conformity_of_both_stables_closes_the_window(venue: Venue) -> None:
    floor = await venue.market(objection_seconds=600)
    people = [venue.bettor(), venue.bettor()]
    for number, person in enumerate(people):
        await venue.runs_for(floor.race, number, await venue.stable(f"Cuadra {number}", person))
    await declared(floor)
    race = RaceId(floor.race.id)
    await venue.officiating.conform(call(people[0]), race, shown)
    assert (await venue.officiating.conform(call(people[0]), race, shown)).status == 409
    assert await status(venue, floor) == "CONFIRMED"
    answer = await venue.officiating.conform(call(people[1]), race, shown)
    assert json.loads(answer.body)["status"] == "FINAL"
    venue.clock.ahead = timedelta(hours=1)
    await venue.time_passes()  # the deadline finds nothing to do
    assert await status(venue, floor) == "FINAL"


async def test_a_late_bet_is_void_on_both_sides(venue: Venue) -> None:
    floor = await venue.market(bps=0)
    ana, beto = await a_bet(venue, floor)
    off = venue.clock() + timedelta(seconds=2)
    venue.clock.ahead = timedelta(seconds=1)
    carla, dora = await a_bet(venue, floor)  # a second after the off time less two seconds
    await floor.close()
    for judge in JUDGES:
        await floor.declare(0, judge=judge, off=off)
    await venue.time_passes()
    await settled(venue)
    await settled(venue)
    assert [venue.books.of(each)["available"] for each in (ana, beto, carla, dora)] == [
        "1100.00", "900.00", "1000.00", "1000.00",
    ]  # fmt: skip
    (bet,) = await venue.reading.bets(carla, page=Page(None, 10))
    assert bet.outcome is not None
    assert bet.outcome.value == "VOID"
    await venue.check_money()


async def test_an_official_error_is_corrected_by_two_signatures(venue: Venue) -> None:
    """The wrong winner has spent the money: what is missing becomes a debt, and the right one is paid."""
    floor = await venue.market(bps=300)
    ana, beto = await a_bet(venue, floor)
    await floor.finish(0)
    assert venue.books.of(ana)["available"] == "1097.00"
    venue.books.balances[f"players/{ana}/available"] -= 1000  # gone
    race = RaceId(floor.race.id)
    right, why = floor.seen(1), "the photo was read the wrong way round"
    await venue.officiating.correct(call(JUDGES[0]), race, right, why, shown)
    await settled(venue)
    assert venue.books.of(beto)["available"] == "900.00"  # one signature is none
    assert (await venue.officiating.correct(call(JUDGES[0]), race, right, why, shown)).status == 409
    await venue.officiating.correct(call(JUDGES[1]), race, floor.seen(None), why, shown)
    await settled(venue)
    assert venue.books.of(beto)["available"] == "900.00"  # they do not say the same
    await venue.officiating.correct(call(UserId(UUID(int=78))), race, right, why, shown)
    await settled(venue)
    assert await floor.status() == "SETTLED"
    assert venue.books.of(beto)["available"] == "1097.00"
    assert venue.books.of(ana)["available"] == "0.00"
    assert venue.books.of(ana)["debt"] == "-100.00"
    assert str(venue.books.balances["house/commission"]) == "3.00"
    versions = await venue.owner.fetch("SELECT version, outcome, total FROM settlement ORDER BY version")
    assert [(row["version"], row["outcome"], str(row["total"])) for row in versions] == [
        (1, "A", "200.00"), (2, "B", "200.00"),
    ]  # fmt: skip
    moves = [move.became for move in await venue.reading.transitions(floor.market.id)]
    assert moves[-4:] == ["SETTLING", "SETTLED", "SETTLING", "SETTLED"]
    await venue.check_money()
    venue.check_history()


async def test_whoever_voids_bets_has_none_at_the_event(venue: Venue) -> None:
    """A bet that is lost is not given back by the one who lost it, whichever way bets are voided; nor by the stable's."""
    race = await venue.race(("El Moro", "La Chula", "El Tordillo"))
    pair = race.runners[0].id, race.runners[1].id
    floor = await venue.market(race=race, runners=pair)
    ana, beto = await a_bet(venue, floor)
    owner, gates = venue.bettor(), venue.gates
    await venue.runs_for(race, 2, await venue.stable("Cuadra Reyna", owner))
    tomorrow = venue.clock() + timedelta(days=2)

    def every_way(who: UserId) -> list[Awaitable[Answer]]:
        return [
            gates.scratch(call(who), race.id, "cojea", shown),
            gates.scratch_runner(call(who), race.id, pair[0], "cojea", shown),
            gates.postpone(call(who), race.id, tomorrow, "rain", shown),
            gates.cancel_event(call(who), race.event_id, "rain", lambda _: Answer(200, "{}")),
        ]

    for who, refusal in ((ana, OfficialHasBet), (owner, OfficialConnected)):
        for way in every_way(who):
            with pytest.raises(refusal):
                await way
    await floor.close()
    with pytest.raises(OfficialHasBet):
        await gates.no_contest(call(beto), race.id, "mine lost", shown)
    assert (await floor.status(), await status(venue, floor)) == ("CLOSED", "AT_GATE")
    judge = venue.bettor()
    await gates.no_contest(call(judge), race.id, "crossed the rail", shown)
    other = await venue.owner.fetchval(
        "SELECT count(*) FROM appointment WHERE official_id = $1 AND event_id = $2", judge, race.event_id
    )
    assert other == 1  # and does not bet there any more


async def test_a_correction_that_moves_no_money_is_no_settlement_to_the_ledger(venue: Venue) -> None:
    """First only the margin was wrong, then the winner too. The ledger knows of what it booked, and numbers that."""
    floor = await venue.market(bps=300)
    ana, beto = await a_bet(venue, floor)
    await floor.finish(0)
    for winner, margin in ((0, Margin.BLANCO), (1, Margin.BLANCO), (1, Margin.FAJA), (0, Margin.FAJA)):
        for judge in JUDGES:
            right = floor.seen(winner, margin=margin)
            await venue.officiating.correct(call(judge), RaceId(floor.race.id), right, "misread", shown)
        await settled(venue)
        assert await floor.status() == "SETTLED"
        won, lost = (ana, beto) if winner == 0 else (beto, ana)
        assert [venue.books.of(each)["available"] for each in (won, lost)] == ["1097.00", "900.00"]
    versions = await venue.owner.fetch(
        "SELECT version, chunks, booked_at IS NOT NULL AS booked FROM settlement ORDER BY version"
    )
    assert [tuple(row) for row in versions] == [
        (1, 1, True), (2, 0, True), (3, 2, True), (4, 0, True), (5, 2, True),
    ]  # fmt: skip
    await venue.check_money()
    venue.check_history()


async def test_only_a_final_result_is_corrected(venue: Venue) -> None:
    floor = await venue.market(objection_seconds=600)
    await declared(floor)
    answer = await venue.officiating.correct(
        call(JUDGES[0]), RaceId(floor.race.id), floor.seen(1), "no", shown
    )
    assert (answer.status, json.loads(answer.body)["type"]) == (409, f"/problems/{RaceStateConflict.slug}")


async def test_an_advantage_and_a_split(venue: Venue) -> None:
    race = await venue.race()
    ventaja = await venue.market(
        race=race, bps=0, kind=MarketKind.VENTAJA, giver=race.runners[0].id, line=Margin.PALETA
    )
    split = await venue.market(race=race, bps=0, tie_rule=TieRule.SPLIT_POT)
    ana, beto = venue.bettor(), venue.bettor()
    await ventaja.place(ana, 0, (1, 1), 100)
    await ventaja.place(beto, 1, (1, 1), 100)
    await split.place(ana, 0, (5, 4), 5)
    await split.place(beto, 1, (4, 5), 4)
    await ventaja.finish(None)  # a dead heat: the giver did not win by more than the line
    assert (await ventaja.status(), await split.status()) == ("SETTLED", "SETTLED")
    assert venue.books.of(ana)["available"] == "899.50"
    assert venue.books.of(beto)["available"] == "1100.50"
    await venue.check_money()


async def test_pairs_of_three_and_one_that_does_not_start(venue: Venue) -> None:
    race = await venue.race(("El Moro", "La Chula", "El Tordillo"))
    moro, chula, tordillo = (runner.id for runner in race.runners)
    floors = [
        await venue.market(race=race, bps=0, runners=pair)
        for pair in ((moro, chula), (chula, tordillo), (moro, tordillo))
    ]
    people = []
    for floor, pair in zip(floors, ((0, 1), (1, 2), (0, 2)), strict=True):
        ana, beto = venue.bettor(), venue.bettor()
        await floor.place(ana, pair[0], (1, 1), 100)
        await floor.place(beto, pair[1], (1, 1), 100)
        people.append((ana, beto))
    lame = "lame, says the veterinarian " * 15  # longer than an event tells
    await venue.gates.scratch_runner(call(JUDGES[0]), race.id, RunnerId(tordillo), lame, shown)
    await settled(venue)
    assert [await floor.status() for floor in floors] == ["OPEN", "VOID", "VOID"]
    await floors[0].close()
    seen = Declaration(
        RunnerId(chula), Margin.CABEZA, datetime(2036, 1, 1, tzinfo=UTC), bytes(32), ((RunnerId(chula),),)
    )
    for judge in JUDGES:
        await venue.officiating.declare(call(judge), race.id, seen, shown)
    await venue.time_passes()
    await settled(venue)
    assert await floors[0].status() == "SETTLED"
    won = [[venue.books.of(each)["available"] for each in pair] for pair in people]
    assert won == [["900.00", "1100.00"], ["1000.00", "1000.00"], ["1000.00", "1000.00"]]
    await venue.check_money()


async def test_postponed_past_the_day_is_void_and_within_it_stands(venue: Venue) -> None:
    today, later = await venue.market(), await venue.market()
    for floor in (today, later):
        await a_bet(venue, floor)
    now = venue.clock()
    evening = now.replace(hour=23, minute=59)
    await venue.gates.postpone(call(JUDGES[0]), today.race.id, evening, "rain", shown)
    await venue.gates.postpone(call(JUDGES[0]), later.race.id, now + timedelta(days=1), "rain", shown)
    await settled(venue)
    assert (await today.status(), await later.status()) == ("OPEN", "VOID")
    await today.finish(0)
    assert await today.status() == "SETTLED"
    await venue.check_money()


async def test_the_day_ends_by_the_venues_clock_in_whatever_offset_it_is_put_off(venue: Venue) -> None:
    """Ten hours ahead of UTC the day at the venue is over while UTC still has it."""
    ahead = timedelta(hours=10)
    here = venue.clock().astimezone(timezone(ahead))
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    last, after = [await venue.market(race=await venue.race(offset=ahead)) for _ in range(2)]
    for floor, at in ((last, midnight - timedelta(seconds=1)), (after, midnight)):
        await a_bet(venue, floor)
        await venue.gates.postpone(call(JUDGES[0]), floor.race.id, at.astimezone(UTC), "rain", shown)
    await settled(venue)
    assert (await last.status(), await after.status()) == ("OPEN", "VOID")
    await venue.check_money()


async def test_the_tax_of_the_day_is_withheld(venue: Venue) -> None:
    today = venue.clock().date()
    await venue.tax(
        TaxRate("SON", today + timedelta(days=1), "isr-sonora", 100),
        TaxRate("SON", today + timedelta(days=3), "isr-sonora", 700),
        TaxRate("SON", today + timedelta(days=5), "isr-sonora", 5000),
    )
    floor = await venue.market(race=await venue.race(state="SON", days=4), bps=300)
    ana, _ = await a_bet(venue, floor)
    await floor.finish(0)
    assert venue.books.of(ana)["available"] == "1090.21"  # 100 less 3, less 7 % of 97 floored in her favour
    assert str(venue.books.balances["tax/isr-sonora"]) == "6.79"
    assert str(venue.books.balances["house/commission"]) == "3.00"


async def test_a_rate_is_for_days_to_come(venue: Venue) -> None:
    """Nobody, not even two administrators, changes what is withheld at an event that has begun."""
    today, far = venue.clock().date(), timedelta(hours=14)
    races = [await venue.race(state="SON"), await venue.race(state="BCN", offset=far)]
    await venue.owner.execute(
        "UPDATE event SET day = $1 WHERE id = $2", today + timedelta(days=1), races[1].event_id
    )
    found = [
        (
            await venue.withholding.ask(
                call(JUDGES[0], role=Role.ADMIN), rate, "r", lambda _: Answer(202, "{}")
            )
        ).status
        for state, days in (("SON", -30), ("SON", 0), ("BCN", 0), ("BCN", 1), ("SON", 1), ("BCN", 2))
        for rate in [TaxRate(state, today + timedelta(days=days), "isr", 5000)]
    ]
    assert found == [422] * 4 + [202] * 2


@pytest.mark.parametrize("size", [1, 3])
async def test_a_settlement_is_killed_between_every_two_chunks(venue: Venue, size: int) -> None:
    """One chunk is booked, everything dies, and so on; also when the result is corrected afterwards."""
    venue.users_per_chunk = size
    venue.__post_init__()
    floor = await venue.market(bps=300)
    people = [await a_bet(venue, floor) for _ in range(7)]
    await declared(floor)
    await venue.time_passes()
    for expected, winners in (("1097.00", 0), ("1097.00", 1)):
        while await floor.status() != "SETTLED" or not await booked(venue):
            await venue.settling.settle_due()
            venue.__post_init__()  # a new process
            await venue.deliver(1)
        for pair in people:
            assert venue.books.of(pair[winners])["available"] == expected
            assert venue.books.of(pair[1 - winners])["available"] == "900.00"
        if winners == 0:
            for judge in JUDGES:
                await venue.officiating.correct(call(judge), floor.race.id, floor.seen(1), "misread", shown)
    await venue.check_money()
    venue.check_history()


async def booked(venue: Venue) -> bool:
    """Whether there is nothing left to settle."""
    pending: int = await venue.owner.fetchval(
        """
        SELECT count(*) FROM outbox WHERE exchange = 'commands'
        UNION ALL SELECT count(*) FROM market m JOIN race r ON r.id = m.race_id
        WHERE m.settled_result < r.result_version ORDER BY 1 DESC LIMIT 1
        """
    )
    return pending == 0
