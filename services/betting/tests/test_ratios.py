"""The ladder: closed under inversion, exactly ordered."""

from fractions import Fraction
from math import gcd

import pytest
from betting.domain.errors import RatioOffLadder
from betting.domain.ratios import EVENS, LADDER, LARGEST_PART, Ratio


def test_the_ladder_is_closed_under_inversion_and_reduced() -> None:
    assert {ratio.inverse for ratio in LADDER} == set(LADDER)
    assert all(gcd(ratio.risk, ratio.win) == 1 for ratio in LADDER)
    assert len(LADDER) == 29


def test_ranks_follow_the_price_and_mirror_at_evens() -> None:
    prices = [Fraction(ratio.risk, ratio.win) for ratio in LADDER]
    assert prices == sorted(set(prices))
    assert [ratio.rank for ratio in LADDER] == list(range(-14, 15))
    assert EVENS.rank == 0
    assert all(ratio.inverse.rank == -ratio.rank for ratio in LADDER)


@pytest.mark.parametrize("ours", LADDER, ids=str)
def test_crossing_is_a_matter_of_ranks(ours: Ratio) -> None:
    for theirs in LADDER:
        assert ours.crosses(theirs) == (ours.rank + theirs.rank >= 0)
        assert ours.crosses(theirs) == (Fraction(theirs.risk, theirs.win) >= Fraction(ours.win, ours.risk))


def test_only_rungs_as_written_are_ratios() -> None:
    assert Ratio.on_ladder(5, 4) == Ratio(5, 4)
    for risk, win in ((10, 8), (7, 8), (0, 1), (-5, 4)):
        with pytest.raises(RatioOffLadder):
            Ratio.on_ladder(risk, win)


def test_no_rung_has_a_larger_part_than_said() -> None:
    assert max(max(ratio.risk, ratio.win) for ratio in LADDER) == LARGEST_PART
