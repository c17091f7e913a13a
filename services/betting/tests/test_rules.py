"""States, terms and results."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest
from betting.domain.errors import (
    EventStateConflict,
    HorsesInvalid,
    MarketNotOpen,
    MarketStateConflict,
    OptionsInvalid,
    RaceStateConflict,
    ResultAlreadyDeclared,
    ResultInvalid,
    StakeNotWholeLots,
    StakeOutOfBounds,
    StaleMarket,
    TermsInvalid,
)
from betting.domain.events import EVENT_MOVES, Event, EventStatus, Permit
from betting.domain.ids import EventId, RaceId, RunnerId, UserId
from betting.domain.margins import Margin
from betting.domain.markets import MOVES, CloseRule, Market, MarketKind, MarketStatus, Terms, TieRule
from betting.domain.offers import Options, Side, check_stake
from betting.domain.races import NOT_RUN, RACE_MOVES, Race, RaceStatus, Runner, check_horses
from betting.domain.ratios import Ratio
from betting.domain.results import Declaration, after_declaration, complete, outcome_of
from betting.domain.settlement import Outcome

from services.betting.tests.offers import MARKET, NOON

MORO, CHULA, STRANGER = (RunnerId(UUID(int=number)) for number in (11, 12, 13))
FIRST, SECOND = (UserId(UUID(int=number)) for number in (21, 22))

TERMS = Terms(
    race_id=RaceId(UUID(int=2)),
    kind=MarketKind.GANA,
    runner_a=MORO,
    runner_b=CHULA,
    currency="MXN",
    commission_bps=300,
    tie_rule=TieRule.PUSH,
    min_stake=100,
    max_stake=10_000,
    max_exposure=100_000,
    close_rule=CloseRule.GATE,
    closes_at=None,
    objection_seconds=600,
    permit="P-1",
)
VENTAJA = replace(TERMS, kind=MarketKind.VENTAJA, giver=Side.A, line=Margin.PALETA)
OPEN = Market(id=MARKET, terms=TERMS, status=MarketStatus.OPEN, version=1, sequence=1, escrow=0)
SEEN = Declaration(winner=MORO, margin=Margin.CABEZA, off_time=NOON, photo_sha256=bytes(32))


def race(status: RaceStatus) -> Race:
    return Race(
        id=RaceId(UUID(int=2)),
        event_id=EventId(UUID(int=3)),
        number=1,
        distance_m=300,
        starts_at=NOON,
        runners=(Runner(MORO, "El Moro"), Runner(CHULA, "La Chula")),
        status=status,
    )


def test_a_closed_market_never_opens_again() -> None:
    for start, end in product(MarketStatus, MarketStatus):
        market = replace(OPEN, status=start)
        if end in MOVES[start]:
            assert market.moved(end).version == market.version + 1
        else:
            with pytest.raises(MarketStateConflict):
                market.moved(end)
    opening = {start for start, ends in MOVES.items() if MarketStatus.OPEN in ends}
    assert opening == {MarketStatus.DRAFT, MarketStatus.SUSPENDED}


def test_a_defect_stops_a_market_wherever_it_is() -> None:
    for status in MarketStatus:
        stopped = replace(OPEN, status=status).stopped("the books differ")
        assert (stopped.status, stopped.version, stopped.defect) == (
            MarketStatus.SUSPENDED,
            2,
            "the books differ",
        )
        for end in MarketStatus:
            with pytest.raises(MarketStateConflict):
                stopped.moved(end)


def test_an_offer_is_admitted_only_to_the_market_its_bettor_saw() -> None:
    OPEN.check_admits(1, None, NOON)
    OPEN.check_admits(1, TERMS.digest, NOON)
    with pytest.raises(StaleMarket):
        OPEN.check_admits(2, None, NOON)
    with pytest.raises(StaleMarket):
        OPEN.check_admits(1, bytes(32), NOON)
    with pytest.raises(MarketNotOpen):
        OPEN.moved(MarketStatus.CLOSED).check_admits(2, None, NOON)
    until_noon = replace(OPEN, terms=replace(TERMS, close_rule=CloseRule.POST_TIME, closes_at=NOON))
    until_noon.check_admits(1, None, NOON - timedelta(microseconds=1))
    with pytest.raises(MarketNotOpen):
        until_noon.check_admits(1, None, NOON)


def test_terms_have_one_hash_and_any_change_another() -> None:
    changed = (
        replace(TERMS, commission_bps=301),
        replace(TERMS, min_stake=101),
        replace(TERMS, max_stake=10_001),
        replace(TERMS, runner_a=CHULA, runner_b=MORO),
        replace(TERMS, race_id=RaceId(UUID(int=9))),
        replace(TERMS, tie_rule=TieRule.SPLIT_POT),
        replace(TERMS, max_exposure=100_001),
        replace(TERMS, objection_seconds=601),
        replace(TERMS, permit="P-2"),
        replace(TERMS, close_rule=CloseRule.POST_TIME, closes_at=NOON),
        replace(TERMS, close_rule=CloseRule.POST_TIME, closes_at=NOON + timedelta(seconds=1)),
        VENTAJA,
        replace(VENTAJA, giver=Side.B),
        replace(VENTAJA, line=Margin.FAJA),
    )
    hashes = {TERMS.digest, *(terms.digest for terms in changed)}
    assert len(hashes) == 1 + len(changed)
    assert replace(TERMS).digest == TERMS.digest


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: replace(TERMS, commission_bps=2001),
        lambda: replace(TERMS, commission_bps=-1),
        lambda: replace(TERMS, min_stake=19),
        lambda: replace(TERMS, max_stake=99),
        lambda: replace(TERMS, max_exposure=9_999),
        lambda: replace(TERMS, giver=Side.A),
        lambda: replace(TERMS, line=Margin.PALETA),
        lambda: replace(VENTAJA, line=None),
        lambda: replace(TERMS, close_rule=CloseRule.POST_TIME),
        lambda: replace(TERMS, closes_at=NOON),
    ],
)
def test_terms_nobody_may_offer(wrong: Callable[[], Terms]) -> None:
    with pytest.raises(TermsInvalid):
        wrong()


def test_the_first_runner_is_side_a() -> None:
    assert [OPEN.side_of(runner) for runner in (MORO, CHULA, STRANGER)] == [Side.A, Side.B, None]
    assert [OPEN.runner_of(side) for side in Side] == [MORO, CHULA]


def test_a_stake_is_whole_lots_within_bounds() -> None:
    check_stake(100, Ratio(5, 4), min_stake=100, max_stake=200)
    with pytest.raises(StakeNotWholeLots):
        check_stake(101, Ratio(5, 4), min_stake=100, max_stake=200)
    for stake in (95, 205):
        with pytest.raises(StakeOutOfBounds):
            check_stake(stake, Ratio(5, 4), min_stake=100, max_stake=200)


DRAFT = Event(
    EventId(UUID(int=3)),
    "Junta",
    "Carril",
    "SIN",
    "P-1",
    NOON,
    NOON.date(),
    NOON + timedelta(hours=12),
    600,
    EventStatus.DRAFT,
)


def test_events_move_only_as_listed() -> None:
    for start, end in product(EventStatus, EventStatus):
        event = replace(DRAFT, status=start)
        if end in EVENT_MOVES[start]:
            assert event.moved(end).status is end
        else:
            with pytest.raises(EventStateConflict):
                event.moved(end)


def test_a_permit_covers_its_venue_from_its_first_day_to_its_last() -> None:
    day = NOON.date()
    permit = Permit(UUID(int=1), "P-1", "Carril", "SEGOB", day, day, FIRST)
    assert permit.covers(DRAFT)
    for other in (
        replace(DRAFT, venue="Otro"),
        replace(DRAFT, permit="P-2"),
        replace(DRAFT, day=day + timedelta(days=1)),
        replace(DRAFT, day=day - timedelta(days=1)),
    ):
        assert not permit.covers(other)


@pytest.mark.parametrize(
    ("options", "stake"),
    [
        (Options(min_fill=0), 100),
        (Options(min_fill=101), 100),
        (Options(expires_at=NOON), 100),
        (Options(challenges=FIRST), 100),
        (Options(challenges=SECOND, fill_or_kill=True), 100),
        (Options(challenges=SECOND, min_fill=50), 100),
        (Options(fill_or_kill=True, expires_at=NOON + timedelta(hours=1)), 100),
    ],
)
def test_options_nobody_can_mean(options: Options, stake: int) -> None:
    with pytest.raises(OptionsInvalid):
        options.check(stake, bettor=FIRST, now=NOON)


def test_a_race_has_two_different_horses_at_least() -> None:
    assert check_horses(["El Moro", "La Chula"]) == ("El Moro", "La Chula")
    assert len(check_horses(["a", "b", "c"])) == 3
    for horses in (["El Moro"], ["El Moro", "EL MORO"], [str(number) for number in range(21)]):
        with pytest.raises(HorsesInvalid):
            check_horses(horses)


def test_races_move_only_as_listed() -> None:
    for start, end in product(RaceStatus, RaceStatus):
        if end in RACE_MOVES[start]:
            assert race(start).moved(end).status is end
        else:
            with pytest.raises(RaceStateConflict):
                race(start).moved(end)


def test_a_declared_race_passed_every_state_before() -> None:
    passed = race(RaceStatus.AT_GATE).way_to(RaceStatus.DECLARED)
    assert [each.status for each in passed] == [RaceStatus.OFF, RaceStatus.FINISHED, RaceStatus.DECLARED]
    assert [each.status for each in race(RaceStatus.FINISHED).way_to(RaceStatus.DECLARED)] == [
        RaceStatus.DECLARED
    ]
    for status in NOT_RUN - {RaceStatus.AT_GATE}:
        with pytest.raises(RaceStateConflict):
            race(status).way_to(RaceStatus.DECLARED)


def test_two_officials_who_saw_the_same_make_a_result() -> None:
    (*_, declared) = after_declaration(race(RaceStatus.AT_GATE), FIRST, SEEN, {})
    assert declared.status is RaceStatus.DECLARED
    (confirmed,) = after_declaration(declared, SECOND, SEEN, {FIRST: SEEN})
    assert confirmed.status is RaceStatus.CONFIRMED


@pytest.mark.parametrize(
    "other",
    [
        replace(SEEN, winner=CHULA),
        replace(SEEN, winner=None, margin=None),
        replace(SEEN, margin=Margin.PALETA),
        replace(SEEN, off_time=NOON + timedelta(seconds=1)),
        replace(SEEN, photo_sha256=bytes(31) + b"\1"),
        replace(SEEN, places=((MORO,), (CHULA,))),
    ],
)
def test_any_difference_is_a_dispute(other: Declaration) -> None:
    (disputed,) = after_declaration(race(RaceStatus.DECLARED), SECOND, other, {FIRST: SEEN})
    assert disputed.status is RaceStatus.DISPUTED


def test_nobody_judges_twice_or_too_early() -> None:
    with pytest.raises(ResultAlreadyDeclared):
        after_declaration(race(RaceStatus.DECLARED), FIRST, SEEN, {FIRST: SEEN})
    for status in (RaceStatus.SCHEDULED, RaceStatus.FINAL, RaceStatus.NO_CORRE):
        with pytest.raises(RaceStateConflict):
            after_declaration(race(status), UserId(UUID(int=23)), SEEN, {})


def test_a_result_names_who_ran() -> None:
    assert complete(race(RaceStatus.FINISHED), SEEN).places == ((MORO,),)
    heat = complete(race(RaceStatus.FINISHED), replace(SEEN, winner=None, margin=None))
    assert heat.places == ((MORO, CHULA),)
    for wrong in (
        replace(SEEN, winner=STRANGER),
        replace(SEEN, places=((CHULA,), (MORO,))),
        replace(SEEN, places=((MORO, CHULA),)),
        replace(SEEN, places=((MORO,), (MORO,))),
        replace(SEEN, places=((MORO,), (STRANGER,))),
        replace(SEEN, places=((MORO,), ())),
    ):
        with pytest.raises(ResultInvalid):
            complete(race(RaceStatus.FINISHED), wrong)
    three = replace(
        race(RaceStatus.FINISHED), runners=(*race(RaceStatus.FINISHED).runners, Runner(STRANGER, "c"))
    )
    with pytest.raises(ResultInvalid):
        complete(three, SEEN)  # who was second?


def test_a_pair_market_is_about_who_of_the_two_came_first() -> None:
    seen = replace(SEEN, winner=STRANGER, places=((STRANGER,), (CHULA,)))
    assert outcome_of(OPEN, seen) is Outcome.B  # El Moro did not come in
    together = replace(SEEN, winner=STRANGER, places=((STRANGER,), (CHULA, MORO)))
    assert outcome_of(OPEN, together) is Outcome.PUSH
    assert (
        outcome_of(replace(OPEN, terms=replace(TERMS, tie_rule=TieRule.SPLIT_POT)), together) is Outcome.SPLIT
    )


@pytest.mark.parametrize(
    ("winner", "margin", "outcome"),
    [
        (MORO, Margin.FAJA, Outcome.A),  # more than the line
        (MORO, Margin.PALETA, Outcome.PUSH),  # exactly the line
        (MORO, Margin.PESCUEZO, Outcome.B),
        (CHULA, Margin.MEDIA_CABEZA, Outcome.B),
        (None, None, Outcome.B),
    ],
)
def test_an_advantage_is_won_only_by_more_than_the_line(
    winner: RunnerId | None, margin: Margin | None, outcome: Outcome
) -> None:
    market = replace(OPEN, terms=VENTAJA)
    seen = complete(race(RaceStatus.FINISHED), replace(SEEN, winner=winner, margin=margin))
    assert outcome_of(market, seen) is outcome


def test_a_winner_has_a_margin_and_a_dead_heat_none() -> None:
    with pytest.raises(ResultInvalid):
        replace(SEEN, margin=None)
    with pytest.raises(ResultInvalid):
        replace(SEEN, winner=None)
