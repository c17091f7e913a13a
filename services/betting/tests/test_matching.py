"""Matching: money conserved, limits honoured, book never crossed, price before time, nobody against themselves."""

from fractions import Fraction
from uuid import UUID

from betting.domain.book import Book as RealBook
from betting.domain.ids import UserId
from betting.domain.matching import match
from betting.domain.offers import Ending, OfferStatus, Options, Side
from betting.domain.ratios import EVENS, LADDER, Ratio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.betting.tests.offers import MIN_STAKE, Book, Wish, offer, partly, played, wishes
from services.betting.tests.reference_model import SlowBook


def test_the_taker_bets_at_the_makers_ratio_and_keeps_the_improvement() -> None:
    maker = offer(1, side=Side.A, ratio=Ratio(5, 4), stake=500)
    taker = offer(2, side=Side.B, ratio=Ratio(1, 1), stake=400)

    matching = match(taker, [maker], min_stake=MIN_STAKE)

    (fill,) = matching.fills
    assert (fill.maker_stake, fill.taker_stake, fill.pot, fill.lots) == (500, 400, 900, 100)
    assert (matching.taker.status, fill.maker.status) == (OfferStatus.FILLED, OfferStatus.FILLED)


def test_several_makers_are_met_best_price_first_then_by_time() -> None:
    worse = offer(1, ratio=Ratio(1, 1), stake=100)
    late = offer(3, ratio=Ratio(5, 4), stake=100)
    early = offer(2, ratio=Ratio(5, 4), stake=100)
    taker = offer(9, side=Side.B, ratio=Ratio(1, 1), stake=200)

    matching = match(taker, [early, late, worse], min_stake=MIN_STAKE)

    assert [fill.maker.id for fill in matching.fills] == [early.id, late.id, worse.id]
    assert [fill.taker_stake for fill in matching.fills] == [80, 80, 40]
    assert matching.fills[-1].maker.status is OfferStatus.PARTIAL
    assert matching.pot == 180 + 180 + 80


def test_what_does_not_cross_rests() -> None:
    maker = offer(1, ratio=Ratio(1, 1), stake=100)
    taker = offer(2, side=Side.B, ratio=Ratio(4, 5), stake=100)

    matching = match(taker, [maker], min_stake=MIN_STAKE)

    assert (matching.taker.status, matching.taker.remaining, matching.fills) == (OfferStatus.OPEN, 100, ())


def test_a_residual_below_the_minimum_is_released_on_either_side() -> None:
    taker = offer(2, side=Side.B, stake=110)
    small = match(taker, [offer(1, stake=100)], min_stake=MIN_STAKE).taker
    assert (small.status, small.released, small.ending) == (OfferStatus.FILLED, 10, Ending.DUST)

    (fill,) = match(offer(2, side=Side.B, stake=90), [offer(1, stake=100)], min_stake=MIN_STAKE).fills
    assert (fill.maker.status, fill.maker.released) == (OfferStatus.FILLED, 10)


def test_a_crumb_does_not_trade_past_the_best_price() -> None:
    best = offer(1, ratio=Ratio(10, 9), stake=1000)
    worse = offer(2, ratio=Ratio(1, 1), stake=1000)
    taker = offer(3, side=Side.B, stake=95)  # ten lots of nine, and five left

    matching = match(taker, [best, worse], min_stake=MIN_STAKE)

    assert [fill.maker.id for fill in matching.fills] == [best.id]
    assert (matching.taker.matched, matching.taker.released) == (90, 5)


def test_ones_own_offer_stops_the_taker() -> None:
    other = offer(1, user=1, ratio=Ratio(5, 4), stake=100)
    own = offer(2, user=7, stake=100)
    behind = offer(3, user=1, stake=100)
    taker = offer(4, user=7, side=Side.B, stake=300)

    matching = match(taker, [other, own, behind], min_stake=MIN_STAKE)

    assert [fill.maker.id for fill in matching.fills] == [other.id]
    assert (matching.taker.status, matching.taker.ending) == (OfferStatus.CANCELLED, Ending.SELF_MATCH)
    assert matching.taker.released == 300 - 80


def test_a_bet_is_named_by_its_two_offers() -> None:
    maker, taker = offer(1), offer(2, side=Side.B)
    names = {match(taker, [maker], min_stake=MIN_STAKE).fills[0].id for _ in range(2)}
    assert len(names) == 1
    assert match(maker, [taker], min_stake=MIN_STAKE).fills[0].id not in names


@given(wishes())
def test_money_is_conserved(wanted: list[Wish]) -> None:
    book = played(wanted)
    for each in book.offers.values():
        assert each.matched + each.remaining + each.released == each.stake
        assert min(each.matched, each.remaining, each.released) >= 0
        assert each.is_live == (each.remaining > 0)
        assert (each.released > 0) == (each.ending is not None)
        risked = sum(fill.maker_stake for fill in book.fills if fill.maker.id == each.id) + sum(
            fill.taker_stake for fill in book.fills if fill.taker.id == each.id
        )
        assert risked == each.matched
    assert sum(fill.pot for fill in book.fills) == sum(each.matched for each in book.offers.values())


@given(wishes())
def test_nobody_gets_worse_than_offered(wanted: list[Wish]) -> None:
    for fill in played(wanted).fills:
        maker, taker = fill.maker.ratio, fill.taker.ratio
        assert Fraction(fill.maker_stake, fill.taker_stake) == Fraction(maker.risk, maker.win)
        assert Fraction(fill.taker_stake, fill.maker_stake) <= Fraction(taker.risk, taker.win)
        assert fill.maker.user_id != fill.taker.user_id
        assert fill.maker.side is fill.taker.side.opposite


@given(wishes())
def test_the_book_is_never_crossed_and_holds_no_dust(wanted: list[Wish]) -> None:
    book = Book()
    for number, wish in enumerate(wanted, start=1):
        book.place(wish.offer(number))
        left, right = book.resting(Side.A), book.resting(Side.B)
        if left and right:
            assert not left[0].ratio.crosses(right[0].ratio)
        assert all(each.remaining >= MIN_STAKE for each in (*left, *right))


@given(wishes())
def test_priority_is_never_inverted(wanted: list[Wish]) -> None:
    book = Book()
    for number, wish in enumerate(wanted, start=1):
        taker = wish.offer(number)
        before = book.resting(taker.side.opposite)
        met = [fill.maker.id for fill in book.place(taker).fills]
        assert met == [each.id for each in before[: len(met)]]
        # Whoever was left for the next one had nothing more to bet with.
        assert all(book.offers[maker].remaining == 0 for maker in met[:-1])


@settings(max_examples=400)
@example(  # met on the way to one's own offer, and left with dust
    [
        Wish(2, Side.A, EVENS, 21),
        Wish(1, Side.B, Ratio(5, 1), 9),
        Wish(2, Side.B, Ratio(5, 4), 4),
        Wish(2, Side.A, Ratio(4, 5), 5),
    ]
)
@given(wishes(users=4, lots=40, longest=16))
def test_it_agrees_with_the_reference_model(wanted: list[Wish]) -> None:
    fast, slow = Book(), SlowBook(MIN_STAKE)
    for number, wish in enumerate(wanted, start=1):
        fast.place(wish.offer(number))
        slow.place(wish.offer(number))
    bets = {(fill.maker.id, fill.taker.id): [fill.maker_stake, fill.taker_stake] for fill in fast.fills}
    assert bets == slow.bets
    for each in slow.standing:
        ours = fast.offers[each.id]  # type: ignore[index]  # the model does not care what an id is
        assert ours.remaining == (each.left if each.state == "open" else 0)


@given(wishes(), st.sampled_from(LADDER), st.integers(1, 200))
def test_the_book_gives_makers_best_price_first_then_by_time(
    wanted: list[Wish], ratio: Ratio, lots: int
) -> None:
    """The book that the floor keeps, against the obvious one of the tests."""
    plain, real = Book(), RealBook()
    for number, wish in enumerate(wanted, start=1):
        matching = plain.place(wish.offer(number))
        for each in (matching.taker, *(fill.maker for fill in matching.fills)):
            real.put(each)
        for side in Side:
            taker = Wish(99, side, ratio, lots).offer(1000)
            crossing = [maker for maker in plain.resting(side.opposite) if taker.ratio.crosses(maker.ratio)]
            assert list(real.makers(taker)) == crossing
    assert {(level.side, level.ratio): level.amount for level in real.levels()} == {
        (side, each.ratio): sum(one.remaining for one in plain.resting(side) if one.ratio == each.ratio)
        for side in Side
        for each in plain.resting(side)
    }
    assert real.resting() == sorted(
        (*plain.resting(Side.A), *plain.resting(Side.B)), key=lambda each: each.sequence or 0
    )


def test_an_offer_partly_matched_meets_with_what_is_left() -> None:
    maker = partly(offer(1, stake=100), 60)
    (fill,) = match(offer(2, side=Side.B, stake=100), [maker], min_stake=MIN_STAKE).fills
    assert (fill.maker.matched, fill.maker.remaining, fill.pot) == (100, 0, 80)


def test_nobody_is_matched_within_an_owner_group() -> None:
    maker = offer(1, user=1, owner=50, stake=100)
    taker = offer(2, user=2, owner=50, side=Side.B, stake=100)
    assert match(taker, [maker], min_stake=MIN_STAKE).taker.ending is Ending.SELF_MATCH


def test_nobody_is_matched_with_themselves_whatever_group_they_were_of_before() -> None:
    maker = offer(1, user=1, stake=100)
    taker = offer(2, user=1, owner=50, side=Side.B, stake=100)
    met = match(taker, [maker], min_stake=MIN_STAKE)
    assert (met.fills, met.taker.ending) == ((), Ending.SELF_MATCH)


@given(wishes(), st.booleans(), st.integers(1, 4000), st.sampled_from(LADDER), st.integers(1, 200))
def test_fill_or_kill_and_a_minimum_fill_are_all_or_nothing(
    wanted: list[Wish], kill: bool, least: int, ratio: Ratio, lots: int
) -> None:
    book = played(wanted)
    plain = Wish(99, Side.B, ratio, lots).offer(1000)
    least = min(least, plain.stake)
    asked = Options(fill_or_kill=kill, min_fill=least)
    taker = offer(1000, user=99, side=Side.B, ratio=ratio, stake=plain.stake, options=asked)
    free = match(plain, book.resting(Side.A), min_stake=MIN_STAKE)
    bound = match(taker, book.resting(Side.A), min_stake=MIN_STAKE)
    if free.taker.matched < least:
        assert (bound.fills, bound.taker.status, bound.taker.released) == (
            (),
            OfferStatus.KILLED,
            taker.stake,
        )
    else:
        assert bound.taker.matched == free.taker.matched
        assert bound.taker.is_live == (free.taker.is_live and not kill)


def test_fill_or_kill_needs_everything_but_less_than_a_lot() -> None:
    """However much may not rest in the market: what is left of the stake could be no bet at any ratio."""
    whole, maker = Options(fill_or_kill=True), offer(1, stake=100)
    for stake, status in ((130, OfferStatus.KILLED), (120, OfferStatus.KILLED), (119, OfferStatus.FILLED)):
        taker = offer(2, side=Side.B, stake=stake, options=whole)
        for min_stake in (MIN_STAKE, 100):
            assert match(taker, [maker], min_stake=min_stake).taker.status is status


@given(st.sampled_from(LADDER), st.sampled_from(LADDER), st.integers(1, 500))
def test_fill_or_kill_is_filled_where_there_is_enough(mine: Ratio, theirs: Ratio, lots: int) -> None:
    """Lots at the maker's ratio seldom fit the taker's stake to the centavo; that kills nobody."""
    stake = max(lots, -(-MIN_STAKE // mine.risk)) * mine.risk
    taker = offer(2, side=Side.B, ratio=mine, stake=stake, options=Options(fill_or_kill=True))
    met = match(taker, [offer(1, ratio=theirs, stake=theirs.risk * 100_000)], min_stake=MIN_STAKE)
    assert met.taker.status is (OfferStatus.FILLED if mine.crosses(theirs) else OfferStatus.KILLED)


def test_a_challenge_is_taken_only_by_its_answer() -> None:
    book = RealBook()
    challenge = offer(1, user=1, stake=100, options=Options(challenges=UserId(UUID(int=2)))).rested(MIN_STAKE)
    public = offer(2, user=3, stake=100).rested(MIN_STAKE)
    for each in (challenge, public):
        book.put(each)
    assert book.level(Side.A, 0).amount == 100
    answers = Options(answers=challenge.id)
    assert list(book.makers(offer(9, user=8, side=Side.B))) == [public]
    assert list(book.makers(offer(9, user=2, side=Side.B))) == [public]
    assert list(book.makers(offer(9, user=8, side=Side.B, options=answers))) == []
    assert list(book.makers(offer(9, user=2, side=Side.B, options=answers))) == [challenge]
    assert list(book.makers(offer(9, user=2, side=Side.A, options=answers))) == []
    larger = offer(9, user=2, side=Side.B, stake=150, options=answers)
    met = match(larger, book.makers(larger), min_stake=MIN_STAKE)
    assert (met.taker.matched, met.taker.released, met.taker.ending) == (100, 50, Ending.NOT_RESTING)
