"""Settlement: the escrow is paid out to the last centavo, commission only on net profit."""

from fractions import Fraction
from math import floor
from uuid import UUID

from betting.domain.ids import UserId
from betting.domain.offers import Side
from betting.domain.settlement import Outcome, Position, Settlement, Verdict, settle
from hypothesis import given
from hypothesis import strategies as st

from services.betting.tests.offers import Book, Wish, played, wishes


def positions(book: Book) -> list[Position]:
    """What everybody has, bet by bet."""
    stakes: dict[UserId, dict[Side, int]] = {}
    pots: dict[UserId, dict[Side, int]] = {}
    for fill in book.fills:
        for one, stake in ((fill.maker, fill.maker_stake), (fill.taker, fill.taker_stake)):
            for sums, amount in ((stakes, stake), (pots, fill.pot)):
                sums.setdefault(one.user_id, {Side.A: 0, Side.B: 0})[one.side] += amount
    return [Position(user, stakes[user], pots[user]) for user in stakes]


def position(user: int, *, a: int = 0, b: int = 0, pot_a: int = 0, pot_b: int = 0) -> Position:
    return Position(UserId(UUID(int=user)), {Side.A: a, Side.B: b}, {Side.A: pot_a, Side.B: pot_b})


def paid(settlement: Settlement, user: int) -> tuple[int, int]:
    (share,) = [share for share in settlement.shares if share.user_id == UUID(int=user)]
    return share.payout, share.commission


def test_the_winner_takes_the_pot_less_commission_on_the_profit() -> None:
    both = [position(1, a=500, pot_a=900), position(2, b=400, pot_b=900)]
    settlement = settle(both, Outcome.A, commission_bps=300)
    assert paid(settlement, 1) == (888, 12)
    assert paid(settlement, 2) == (0, 0)
    assert [chunk.total for chunk in settlement.chunks] == [900]
    assert len(settlement.shares) == 2


def test_commission_is_floored_in_the_bettors_favour() -> None:
    both = [position(1, a=100, pot_a=199), position(2, b=99, pot_b=199)]
    assert paid(settle(both, Outcome.A, commission_bps=500), 1) == (195, 4)  # 5 % of 99 is 4.95


def test_commission_is_on_the_net_of_all_bets_in_the_market() -> None:
    hedged = position(1, a=100, b=90, pot_a=200, pot_b=190)
    rest = position(2, a=100, b=100, pot_a=190, pot_b=200)
    settlement = settle([hedged, rest], Outcome.A, commission_bps=1000)
    assert paid(settlement, 1) == (199, 1)  # won 200 for 190: ten net, whatever the single bets made
    assert paid(settlement, 2) == (190, 0)


def test_a_dead_heat_gives_everyone_their_own_stakes_and_takes_nothing() -> None:
    both = [position(1, a=500, pot_a=900), position(2, b=400, pot_b=900)]
    for outcome in (Outcome.PUSH, Outcome.VOID):
        settlement = settle(both, outcome, commission_bps=500)
        assert (paid(settlement, 1), paid(settlement, 2)) == ((500, 0), (400, 0))


def test_no_bets_make_no_chunks() -> None:
    assert settle([], Outcome.A, commission_bps=500) == Settlement(Outcome.A, 0, (), ())


def test_an_outcome_says_how_each_bet_came_out() -> None:
    assert [Outcome.A.verdict(side) for side in Side] == [Verdict.WON, Verdict.LOST]
    assert [Outcome.B.verdict(side) for side in Side] == [Verdict.LOST, Verdict.WON]
    assert {Outcome.PUSH.verdict(Side.A), Outcome.VOID.verdict(Side.B)} == {Verdict.PUSH, Verdict.VOID}


@given(wishes(), st.sampled_from(Outcome), st.integers(0, 2000), st.integers(1, 7))
def test_payouts_and_commission_are_the_escrow_exactly(
    wanted: list[Wish], outcome: Outcome, bps: int, size: int
) -> None:
    book = played(wanted)
    settlement = settle(positions(book), outcome, commission_bps=bps, users_per_chunk=size)

    escrow = sum(fill.pot for fill in book.fills)
    assert settlement.total == escrow == sum(chunk.total for chunk in settlement.chunks)
    assert sum(share.payout + share.commission for share in settlement.shares) == escrow
    assert [chunk.number for chunk in settlement.chunks] == list(range(1, len(settlement.chunks) + 1))
    assert all(0 < len(chunk.shares) <= size for chunk in settlement.chunks)
    payees = [share.user_id for chunk in settlement.chunks for share in chunk.shares]
    assert len(payees) == len(set(payees))
    assert set(payees) == {share.user_id for share in settlement.shares if share.payout or share.commission}


@given(wishes(users=3), st.sampled_from([Outcome.A, Outcome.B]), st.integers(0, 2000))
def test_every_share_is_what_the_bets_say_one_by_one(wanted: list[Wish], outcome: Outcome, bps: int) -> None:
    book = played(wanted)
    for share in settle(positions(book), outcome, commission_bps=bps).shares:
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
