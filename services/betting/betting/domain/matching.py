"""Matching: what becomes of an offer that meets the book. Exact: bets are whole lots, nothing is rounded.

An arriving offer (the taker) meets resting opposite offers (makers) in price-time order and bets with each at
the **maker's** ratio, so that every improvement is the taker's and nobody risks more than offered.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import uuid5

from betting.domain.ids import FillId, Minor
from betting.domain.offers import Ending, Offer, OfferStatus


@dataclass(frozen=True, slots=True)
class Fill:
    """One bet: `lots` times the maker's ratio. Both offers as they are after it; the pot goes to the winner."""

    maker: Offer
    taker: Offer
    lots: int

    @property
    def id(self) -> FillId:
        """A taker meets a maker once, so the two offers name the bet."""
        return FillId(uuid5(self.taker.id, self.maker.id.hex))

    @property
    def maker_stake(self) -> Minor:
        return self.maker.ratio.risk * self.lots

    @property
    def taker_stake(self) -> Minor:
        return self.maker.ratio.win * self.lots

    @property
    def pot(self) -> Minor:
        return self.maker_stake + self.taker_stake


@dataclass(frozen=True, slots=True)
class Matching:
    """The taker after it met the book, and the bets it made on the way, in the order they were made."""

    taker: Offer
    fills: tuple[Fill, ...]

    @property
    def pot(self) -> Minor:
        return sum(fill.pot for fill in self.fills)


def match(taker: Offer, makers: Iterable[Offer], *, min_stake: Minor) -> Matching:
    """Match `taker` against the opposite resting offers, given in price-time order.

    Stops at the first maker that does not cross, and at an offer of the taker's own owner, which cancels the
    taker's remainder. A residual below `min_stake` is released on either side instead of resting; `min_stake`
    is at least `ratios.LARGEST_PART`, so whatever rests can pay for a lot at every ratio.
    """
    fills: list[Fill] = []
    for maker in makers:
        affordable = taker.remaining // maker.ratio.win
        if not affordable or not taker.ratio.crosses(maker.ratio):
            break
        if maker.user_id == taker.user_id:
            return Matching(taker.ended(OfferStatus.CANCELLED, Ending.SELF_MATCH), tuple(fills))
        offered = maker.remaining // maker.ratio.risk
        lots = min(affordable, offered)
        taker = taker.drawn(maker.ratio.win * lots)
        after = maker.drawn(maker.ratio.risk * lots).rested(min_stake)
        fills.append(Fill(maker=after, taker=taker, lots=lots))
        if affordable < offered:
            break  # not a lot more of the best price: a crumb must not trade past it at a worse one
    return Matching(taker.rested(min_stake), tuple(fills))


def can_fill(taker: Offer, makers: Sequence[Offer]) -> bool:
    """Whether these makers are enough to decide the taker's fate, be there more behind them or not."""
    if any(maker.user_id == taker.user_id for maker in makers):
        return True
    capacity = sum(maker.ratio.win * (maker.remaining // maker.ratio.risk) for maker in makers)
    return capacity >= taker.remaining
