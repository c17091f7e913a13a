"""Settlement: the escrow is paid out to the last centavo, commission only on net profit."""

from fractions import Fraction
from math import floor
from uuid import UUID

from betting.domain.ids import UserId
from betting.domain.offers import Side
from betting.domain.settlement import Outcome, Position, Rates, Settlement, Share, Verdict, settle
from hypothesis import given
from hypothesis import strategies as st

from services.betting.tests.offers import Book, Wish, played, wishes


def positions(book: Book) -> list[Position]:
    """What everybody has, bet by bet."""
    stakes: dict[UserId, dict[Side, int]] = {}
    pots: dict[UserId, dict[Side, int]] = {}
    halves: dict[UserId, dict[Side, int]] = {}
    for fill in book.fills:
        both = (fill.maker, fill.maker_stake), (fill.taker, fill.taker_stake)
        for (one, stake), (_, other) in (both, both[::-1]):
            half = fill.pot // 2 + (fill.pot % 2 if stake > other else 0)
            for sums, amount in ((stakes, stake), (pots, fill.pot), (halves, half)):
                sums.setdefault(one.user_id, {Side.A: 0, Side.B: 0})[one.side] += amount
    return [Position(user, stakes[user], pots[user], halves[user]) for user in stakes]


def position(user: int, *, a: int = 0, b: int = 0, pot_a: int = 0, pot_b: int = 0, late: int = 0) -> Position:
    halves = {Side.A: pot_a // 2, Side.B: pot_b // 2}
    return Position(
        UserId(UUID(int=user)), {Side.A: a, Side.B: b}, {Side.A: pot_a, Side.B: pot_b}, halves, late
    )


def paid(settlement: Settlement, user: int) -> tuple[int, int]:
    (share,) = [share for share in settlement.shares if share.user_id == UUID(int=user)]
    return share.payout, share.commission


def test_the_winner_takes_the_pot_less_commission_on_the_profit() -> None:
    both = [position(1, a=500, pot_a=900), position(2, b=400, pot_b=900)]
    settlement = settle(both, Outcome.A, Rates(300))
    assert paid(settlement, 1) == (888, 12)
    assert paid(settlement, 2) == (0, 0)
    assert [chunk.total for chunk in settlement.chunks] == [900]
    assert len(settlement.shares) == 2


def test_commission_is_floored_in_the_bettors_favour() -> None:
    both = [position(1, a=100, pot_a=199), position(2, b=99, pot_b=199)]
    assert paid(settle(both, Outcome.A, Rates(500)), 1) == (195, 4)  # 5 % of 99 is 4.95


def test_commission_is_on_the_net_of_all_bets_in_the_market() -> None:
    hedged = position(1, a=100, b=90, pot_a=200, pot_b=190)
    rest = position(2, a=100, b=100, pot_a=190, pot_b=200)
    settlement = settle([hedged, rest], Outcome.A, Rates(1000))
    assert paid(settlement, 1) == (199, 1)  # won 200 for 190: ten net, whatever the single bets made
    assert paid(settlement, 2) == (190, 0)


def test_a_dead_heat_gives_everyone_their_own_stakes_and_takes_nothing() -> None:
    both = [position(1, a=500, pot_a=900), position(2, b=400, pot_b=900)]
    for outcome in (Outcome.PUSH, Outcome.VOID):
        settlement = settle(both, outcome, Rates(500))
        assert (paid(settlement, 1), paid(settlement, 2)) == ((500, 0), (400, 0))


def test_no_bets_make_no_chunks() -> None:
    assert settle([], Outcome.A, Rates(500)) == Settlement(Outcome.A, 0, (), (), ())


def test_an_outcome_says_how_each_bet_came_out() -> None:
    assert [Outcome.A.verdict(side) for side in Side] == [Verdict.WON, Verdict.LOST]
    assert [Outcome.B.verdict(side) for side in Side] == [Verdict.LOST, Verdict.WON]
    assert {Outcome.PUSH.verdict(Side.A), Outcome.VOID.verdict(Side.B)} == {Verdict.PUSH, Verdict.VOID}


@given(wishes(), st.sampled_from(Outcome), st.integers(0, 2000), st.integers(0, 5000), st.integers(1, 7))
def test_payouts_and_commission_are_the_escrow_exactly(
    wanted: list[Wish], outcome: Outcome, bps: int, tax: int, size: int
) -> None:
    book = played(wanted)
    settlement = settle(positions(book), outcome, Rates(bps, tax), users_per_chunk=size)

    escrow = sum(fill.pot for fill in book.fills)
    assert settlement.total == escrow == sum(chunk.total for chunk in settlement.chunks)
    assert sum(share.drawn for share in settlement.shares) == escrow
    assert not settlement.recoveries
    assert [chunk.number for chunk in settlement.chunks] == list(range(1, len(settlement.chunks) + 1))
    assert all(0 < len(chunk.moves) <= size for chunk in settlement.chunks)
    payees = [move.user_id for chunk in settlement.chunks for move in chunk.moves]
    assert len(payees) == len(set(payees))
    assert set(payees) == {share.user_id for share in settlement.shares if share.payout or share.commission}


@given(wishes(users=3), st.sampled_from([Outcome.A, Outcome.B]), st.integers(0, 2000))
def test_every_share_is_what_the_bets_say_one_by_one(wanted: list[Wish], outcome: Outcome, bps: int) -> None:
    book = played(wanted)
    for share in settle(positions(book), outcome, Rates(bps)).shares:
        won = lost = 0
        for fill in book.fills:
            for one, own, other in (
                (fill.maker, fill.maker_stake, fill.taker_stake),
                (fill.taker, fill.taker_stake, fill.maker_stake),
            ):
                if one.user_id == share.user_id:
                    won += other if one.side is outcome.winner else 0
                    lost += 0 if one.side is outcome.winner else own
        net = won - lost
        assert share.commission == floor(Fraction(bps * max(0, net), 10_000))
        assert share.payout == share.staked + net - share.commission
        assert share.payout >= 0


def test_withholding_is_of_what_is_left_of_the_profit() -> None:
    both = [position(1, a=500, pot_a=900), position(2, b=400, pot_b=900)]
    (winner, _) = settle(both, Outcome.A, Rates(300, 700)).shares
    assert (winner.commission, winner.withheld) == (12, 27)  # 3 % of 400; 7 % of 388 is 27.16
    assert winner.payout == 900 - 12 - 27


def test_a_split_halves_each_pot_and_the_odd_centavo_follows_the_larger_risk() -> None:
    ana = Position(
        UserId(UUID(int=1)), {Side.A: 5, Side.B: 0}, {Side.A: 9, Side.B: 0}, {Side.A: 5, Side.B: 0}
    )
    beto = Position(
        UserId(UUID(int=2)), {Side.A: 0, Side.B: 4}, {Side.A: 0, Side.B: 9}, {Side.A: 0, Side.B: 4}
    )
    settlement = settle([ana, beto], Outcome.SPLIT, Rates(1000))
    assert (paid(settlement, 1), paid(settlement, 2)) == ((5, 0), (4, 0))


def test_a_late_bet_goes_back_whatever_the_outcome() -> None:
    both = [position(1, a=500, pot_a=900, late=70), position(2, b=400, pot_b=900, late=30)]
    settlement = settle(both, Outcome.A, Rates(300))
    assert (paid(settlement, 1), paid(settlement, 2)) == ((888 + 70, 12), (30, 0))
    assert settlement.total == 1000


@given(
    wishes(), st.sampled_from(Outcome), st.sampled_from(Outcome), st.integers(0, 2000), st.integers(0, 5000),
    st.integers(1, 7),
)  # fmt: skip
def test_a_later_version_recovers_exactly_what_it_pays(
    wanted: list[Wish], wrong: Outcome, right: Outcome, bps: int, tax: int, size: int
) -> None:
    """After both, everybody has what the right outcome alone would have given."""
    all_positions, rates = positions(played(wanted)), Rates(bps, tax)
    first = settle(all_positions, wrong, rates)
    before = {share.user_id: share for share in first.shares}
    second = settle(all_positions, right, rates, before=before, users_per_chunk=size)

    assert second.total == sum(chunk.total for chunk in second.payments)
    assert second.total == sum(chunk.total for chunk in second.recoveries)
    assert second.shares == settle(all_positions, right, rates).shares
    had = {user: [share.payout, share.commission, share.withheld] for user, share in before.items()}
    for chunk in second.chunks:
        sign = -1 if chunk in second.recoveries else 1
        for move in chunk.moves:
            for at, amount in enumerate((move.payout, move.commission, move.withheld)):
                assert amount >= 0
                had[move.user_id][at] += sign * amount
    assert had == {each.user_id: [each.payout, each.commission, each.withheld] for each in second.shares}


def test_a_correction_without_a_difference_moves_nothing() -> None:
    both = [position(1, a=500, pot_a=900), position(2, b=400, pot_b=900)]
    shares: dict[UserId, Share] = {
        share.user_id: share for share in settle(both, Outcome.A, Rates(300)).shares
    }
    again = settle(both, Outcome.A, Rates(300), before=shares)
    assert (again.total, again.chunks) == (0, ())
