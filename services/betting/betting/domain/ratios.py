"""Prices as people say them: "de a 100 a 80" risks 5 to win 4.

The ladder is closed under inversion, so that every price has an opposite to meet; decimal odds never exist.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from betting.domain.errors import RatioOffLadder

_LONG = (
    (20, 19), (10, 9), (20, 17), (5, 4), (4, 3), (10, 7), (3, 2),
    (5, 3), (2, 1), (5, 2), (3, 1), (4, 1), (5, 1), (10, 1),
)  # fmt: skip
_PARTS = (*((win, risk) for risk, win in reversed(_LONG)), (1, 1), *_LONG)
_RANKS: Mapping[tuple[int, int], int] = {parts: place - len(_LONG) for place, parts in enumerate(_PARTS)}


@dataclass(frozen=True, slots=True)
class Ratio:
    """Risk `risk` parts to win `win` parts; reduced, and a rung of the ladder (`Ratio.on_ladder`)."""

    risk: int
    win: int
    rank: int = field(init=False, compare=False, repr=False)
    """Place on the ladder counted from evens: the more is risked per part won, the higher.

    The ladder is closed under inversion, so `ratio.inverse.rank == -ratio.rank`, and two offers cross exactly if their
    ranks do not sum below zero. Stored with each offer: an index can order by it.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", _RANKS[self.risk, self.win])

    @classmethod
    def on_ladder(cls, risk: int, win: int) -> "Ratio":
        """Raises RatioOffLadder unless risk:win is a rung as written (10:8 is not 5:4)."""
        if (risk, win) not in _RANKS:
            raise RatioOffLadder(f"{risk}:{win} is not on the ladder", field="risk")
        return cls(risk, win)

    @property
    def inverse(self) -> "Ratio":
        """What the other side of a bet at this ratio risks and wins."""
        return Ratio(self.win, self.risk)

    def crosses(self, other: "Ratio") -> bool:
        """Whether an offer at this ratio and an opposite one at `other` can make a bet."""
        return self.risk * other.risk >= self.win * other.win

    def beats(self, other: "Ratio") -> bool:
        """Whether a resting offer at this ratio serves a taker better than one at `other`."""
        return self.risk * other.win > other.risk * self.win

    def __str__(self) -> str:
        return f"{self.risk}:{self.win}"


EVENS = Ratio(1, 1)

LADDER: tuple[Ratio, ...] = tuple(Ratio(risk, win) for risk, win in _PARTS)
"""Every ratio an offer may have, from the least risked per part won to the most."""

BY_RANK: Mapping[int, Ratio] = {ratio.rank: ratio for ratio in LADDER}

LARGEST_PART: int = max(ratio.risk for ratio in LADDER)
"""No rung risks or wins more parts than this: an amount at least this large holds a lot at every ratio."""
