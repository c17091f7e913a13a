"""Matching: what becomes of an offer that meets the book. Exact: bets are whole lots, nothing is rounded.

An arriving offer (the taker) meets resting opposite offers (makers) in price-time order and bets with each at
the **maker's** ratio, so that every improvement is the taker's and nobody risks more than offered.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import uuid5

from betting.domain.ids import FillId, Minor
from betting.domain.offers import Ending, Offer, OfferStatus
from betting.domain.ratios import LARGEST_PART


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

    Stops at the first maker that does not cross, and at an offer of the taker's own owner, or of the taker (who may
    have joined a stable since), which cancels the taker's remainder. A residual below `min_stake` is released on either
    side instead of resting; `min_stake` is at least `ratios.LARGEST_PART`, so whatever rests can pay for a lot at every
    ratio. A taker that asked for more at once than the book has is killed, and no bet is made.
    """
    met = _meet(taker, makers, min_stake)
    asked = taker.slip.options
    if asked.fill_or_kill or asked.min_fill is not None or not asked.rests:
        return _as_asked(taker, met)
    return met


def _meet(taker: Offer, makers: Iterable[Offer], min_stake: Minor) -> Matching:
    fills: list[Fill] = []
    mine = taker.slip.ratio
    for maker in makers:
        slip = maker.slip
        theirs = slip.ratio
        affordable = taker.remaining // theirs.win
        if not affordable or not mine.crosses(theirs):
            break
        if slip.owner == taker.slip.owner or slip.user_id == taker.slip.user_id:
            return Matching(taker.ended(OfferStatus.CANCELLED, Ending.SELF_MATCH), tuple(fills))
        offered = maker.remaining // theirs.risk
        lots = min(affordable, offered)
        taker = taker.drawn(theirs.win * lots)
        fills.append(Fill(maker.taken(theirs.risk * lots, min_stake), taker, lots))
        if affordable < offered:
            break  # not a lot more of the best price: a crumb must not trade past it at a worse one
    return Matching(taker.rested(min_stake), tuple(fills))


def _as_asked(taker: Offer, met: Matching) -> Matching:
    """What the taker's options make of it: killed with no bet at all, or the rest of it ended."""
    asked = taker.slip.options
    wanted = asked.min_fill
    if wanted is None and asked.fill_or_kill:
        wanted = taker.stake - LARGEST_PART + 1  # less than a lot at some ratio left over cannot be filled
    if met.taker.matched < (wanted or 0):
        return Matching(taker.ended(OfferStatus.KILLED, Ending.NOT_ENOUGH), ())
    if asked.rests or not met.taker.is_live:
        return met
    why = Ending.NOT_RESTING if met.fills else Ending.NOT_ENOUGH
    return Matching(met.taker.ended(OfferStatus.KILLED, why), met.fills)
