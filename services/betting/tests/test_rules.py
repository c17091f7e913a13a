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
    RaceStateConflict,
    ResultAlreadyDeclared,
    ResultInvalid,
    StakeNotWholeLots,
    StakeOutOfBounds,
    StaleMarket,
    TermsInvalid,
)
from betting.domain.ids import EventId, RaceId, RunnerId, UserId
from betting.domain.markets import MOVES, Market, MarketKind, MarketStatus, Terms, TieRule
from betting.domain.offers import Side, check_stake
from betting.domain.races import (
    RACE_MOVES,
    Declaration,
    Event,
    EventStatus,
    Margin,
    Race,
    RaceStatus,
    Runner,
    check_horses,
    judge,
)
from betting.domain.ratios import Ratio

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
)
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
    assert not any(MarketStatus.OPEN in ends for ends in MOVES.values())


def test_a_defect_stops_a_market_wherever_it_is() -> None:
    for status in MarketStatus:
        stopped = replace(OPEN, status=status).suspended("the books differ")
        assert (stopped.status, stopped.version, stopped.defect) == (
            MarketStatus.SUSPENDED,
            2,
            "the books differ",
        )


def test_an_offer_is_admitted_only_to_the_market_its_bettor_saw() -> None:
    OPEN.check_admits(1, None)
    OPEN.check_admits(1, TERMS.digest)
    with pytest.raises(StaleMarket):
        OPEN.check_admits(2, None)
    with pytest.raises(StaleMarket):
        OPEN.check_admits(1, bytes(32))
    with pytest.raises(MarketNotOpen):
        OPEN.moved(MarketStatus.CLOSED).check_admits(2, None)


def test_terms_have_one_hash_and_any_change_another() -> None:
    changed = (
        replace(TERMS, commission_bps=301),
        replace(TERMS, min_stake=101),
        replace(TERMS, max_stake=10_001),
        replace(TERMS, runner_a=CHULA, runner_b=MORO),
        replace(TERMS, race_id=RaceId(UUID(int=9))),
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


def test_an_event_is_published_once() -> None:
    draft = Event(EventId(UUID(int=3)), "Junta", "Carril", "P-1", NOON, EventStatus.DRAFT)
    published = draft.published()
    assert published.status is EventStatus.PUBLISHED
    with pytest.raises(EventStateConflict):
        published.published()


def test_a_match_race_has_two_different_horses() -> None:
    assert check_horses(["El Moro", "La Chula"]) == ("El Moro", "La Chula")
    for horses in (["El Moro"], ["El Moro", "EL MORO"], ["a", "b", "c"]):
        with pytest.raises(HorsesInvalid):
            check_horses(horses)


def test_races_move_only_as_listed() -> None:
    for start, end in product(RaceStatus, RaceStatus):
        if end in RACE_MOVES[start]:
            assert race(start).moved(end).status is end
        else:
            with pytest.raises(RaceStateConflict):
                race(start).moved(end)


def test_two_officials_who_saw_the_same_make_a_result() -> None:
    declared = judge(race(RaceStatus.AT_GATE), FIRST, SEEN, {})
    assert declared.status is RaceStatus.DECLARED
    assert judge(declared, SECOND, SEEN, {FIRST: SEEN}).status is RaceStatus.FINAL


@pytest.mark.parametrize(
    "other",
    [
        replace(SEEN, winner=CHULA),
        replace(SEEN, winner=None, margin=None),
        replace(SEEN, margin=Margin.PALETA),
        replace(SEEN, off_time=NOON + timedelta(seconds=1)),
        replace(SEEN, photo_sha256=bytes(31) + b"\1"),
    ],
)
def test_any_difference_is_a_dispute(other: Declaration) -> None:
    assert judge(race(RaceStatus.DECLARED), SECOND, other, {FIRST: SEEN}).status is RaceStatus.DISPUTED


def test_nobody_judges_twice_or_too_early_or_names_a_stranger() -> None:
    with pytest.raises(ResultAlreadyDeclared):
        judge(race(RaceStatus.DECLARED), FIRST, SEEN, {FIRST: SEEN})
    with pytest.raises(RaceStateConflict):
        judge(race(RaceStatus.SCHEDULED), FIRST, SEEN, {})
    with pytest.raises(RaceStateConflict):
        judge(race(RaceStatus.FINAL), UserId(UUID(int=23)), SEEN, {FIRST: SEEN, SECOND: SEEN})
    with pytest.raises(ResultInvalid):
        judge(race(RaceStatus.AT_GATE), FIRST, replace(SEEN, winner=STRANGER), {})


def test_a_winner_has_a_margin_and_a_dead_heat_none() -> None:
    with pytest.raises(ResultInvalid):
        replace(SEEN, margin=None)
    with pytest.raises(ResultInvalid):
        replace(SEEN, winner=None)
