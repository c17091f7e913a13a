"""An offer: "I risk `stake` on one side at this ratio", and what has become of its stake."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from betting.domain.errors import StakeNotWholeLots, StakeOutOfBounds
from betting.domain.ids import MarketId, Minor, OfferId, UserId
from betting.domain.ratios import Ratio


class Side(StrEnum):
    """The two runners of a match race: A is the first on the card, B the second."""

    A = "A"
    B = "B"

    @property
    def opposite(self) -> "Side":
        return Side.B if self is Side.A else Side.A


class OfferStatus(StrEnum):
    PENDING = "PENDING"  # written down; its hold in the ledger is not answered yet
    OPEN = "OPEN"  # resting, nothing matched
    PARTIAL = "PARTIAL"  # resting, something matched
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    LAPSED = "LAPSED"
    REJECTED = "REJECTED"  # the ledger refused the hold: no money ever moved


LIVE = frozenset({OfferStatus.PENDING, OfferStatus.OPEN, OfferStatus.PARTIAL})
RESTING = frozenset({OfferStatus.OPEN, OfferStatus.PARTIAL})


class Ending(StrEnum):
    """Why what was left of an offer went back to its owner."""

    DUST = "DUST"  # less than the minimum stake was left
    SELF_MATCH = "SELF_MATCH"  # the next offer to meet was the bettor's own
    BY_OWNER = "BY_OWNER"
    MARKET_CLOSED = "MARKET_CLOSED"
    MARKET_CHANGED = "MARKET_CHANGED"  # the hold was answered after the market the bettor saw was gone
    RACE_SCRATCHED = "RACE_SCRATCHED"
    HOLD_REFUSED = "HOLD_REFUSED"


@dataclass(frozen=True, slots=True)
class Offer:
    """At any time `matched + remaining + released == stake`, and `remaining` is zero exactly once it has ended.

    `sequence` is its place in time among the market's offers; none before its stake is held.
    """

    id: OfferId
    market_id: MarketId
    market_version: int
    user_id: UserId
    side: Side
    ratio: Ratio
    stake: Minor
    matched: Minor
    remaining: Minor
    released: Minor
    status: OfferStatus
    placed_at: datetime
    sequence: int | None = None
    ending: Ending | None = None

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    def drawn(self, amount: Minor) -> "Offer":
        """The offer after `amount` of it became a bet."""
        return replace(self, matched=self.matched + amount, remaining=self.remaining - amount)

    def rested(self, min_stake: Minor) -> "Offer":
        """The offer after matching: it rests, or it is filled and a residual too small to rest is released."""
        if self.remaining >= min_stake:
            return replace(self, status=OfferStatus.PARTIAL if self.matched else OfferStatus.OPEN)
        return self.ended(OfferStatus.FILLED, Ending.DUST if self.remaining else None)

    def ended(self, status: OfferStatus, why: Ending | None) -> "Offer":
        """The offer after its end, whatever was left of its stake released."""
        return replace(self, status=status, released=self.remaining, remaining=0, ending=why)


def check_stake(stake: Minor, ratio: Ratio, *, min_stake: Minor, max_stake: Minor) -> None:
    """Raises StakeOutOfBounds or StakeNotWholeLots; a stake is a whole number of lots of the ratio's risk."""
    if not min_stake <= stake <= max_stake:
        raise StakeOutOfBounds("the stake is below the minimum or above the maximum", field="stake")
    if stake % ratio.risk:
        raise StakeNotWholeLots(
            f"a stake at {ratio} is a multiple of {ratio.risk} minor units", field="stake"
        )
