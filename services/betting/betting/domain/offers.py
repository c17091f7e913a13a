"""An offer: "I risk `stake` on one side at this ratio", and what has become of its stake."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from betting.domain.errors import OptionsInvalid, StakeNotWholeLots, StakeOutOfBounds
from betting.domain.ids import MarketId, Minor, OfferId, UserId
from betting.domain.ratios import Ratio


class Side(StrEnum):
    """The two runners a market is about: A is the one first on the card, B the other."""

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
    EXPIRED = "EXPIRED"  # its own time ran out
    KILLED = "KILLED"  # not as much could be matched at once as the bettor asked for
    REJECTED = "REJECTED"  # the ledger refused the hold: no money ever moved


LIVE = frozenset({OfferStatus.PENDING, OfferStatus.OPEN, OfferStatus.PARTIAL})
RESTING = frozenset({OfferStatus.OPEN, OfferStatus.PARTIAL})


class Ending(StrEnum):
    """Why what was left of an offer went back to its owner."""

    DUST = "DUST"  # less than the minimum stake was left
    SELF_MATCH = "SELF_MATCH"  # the next offer to meet was of the bettor's own owner group
    BY_OWNER = "BY_OWNER"
    DECLINED = "DECLINED"  # the person challenged said no
    TIME_OVER = "TIME_OVER"
    NOT_ENOUGH = "NOT_ENOUGH"  # fill or kill, or a minimum fill, and the book did not have it
    NOT_RESTING = "NOT_RESTING"  # the rest of an offer that was not to rest
    BETTOR_SUSPENDED = "BETTOR_SUSPENDED"
    BETTOR_EXCLUDED = "BETTOR_EXCLUDED"  # by their own wish, for their own good
    BETTOR_BARRED = (
        "BETTOR_BARRED"  # they became one of a stable, or an official; or their stable's horse runs
    )
    MARKET_CLOSED = "MARKET_CLOSED"
    MARKET_CHANGED = "MARKET_CHANGED"  # the hold was answered after the market the bettor saw was gone
    RACE_SCRATCHED = "RACE_SCRATCHED"
    HOLD_REFUSED = "HOLD_REFUSED"


@dataclass(frozen=True, slots=True)
class Options:
    """How an offer is to be treated; without any it is good until the market closes.

    fill_or_kill  match at once, wholly or not at all; with `min_fill` at least that much, and nothing rests
    min_fill      at least this much must match at once, else nothing does
    expires_at    what is not matched by then ends
    challenges    only this person may take the offer; it is not in the public book
    answers       takes this challenge and meets no other offer
    """

    fill_or_kill: bool = False
    min_fill: Minor | None = None
    expires_at: datetime | None = None
    challenges: UserId | None = None
    answers: OfferId | None = None

    @property
    def rests(self) -> bool:
        return not self.fill_or_kill and self.answers is None

    def check(self, stake: Minor, *, bettor: UserId, now: datetime) -> None:
        """Raises OptionsInvalid for options that cannot be meant."""
        if self.min_fill is not None and not 0 < self.min_fill <= stake:
            raise OptionsInvalid(
                "a minimum fill is more than nothing and no more than the stake", field="min_fill"
            )
        if self.expires_at is not None and self.expires_at <= now:
            raise OptionsInvalid("the offer would have expired already", field="expires_at")
        if self.challenges is not None and (self.fill_or_kill or self.min_fill or self.answers):
            raise OptionsInvalid(
                "a challenge waits for its answer: it cannot be matched at once", field="challenges"
            )
        if self.challenges == bettor:
            raise OptionsInvalid("challenge somebody else", field="challenges")
        if self.expires_at is not None and not self.rests:
            raise OptionsInvalid("an offer that does not rest cannot expire", field="expires_at")


PLAIN = Options()


@dataclass(frozen=True, slots=True)
class Slip:
    """What was offered. It never changes.

    `owner` is the bettor's owner group (a stable), or the bettor, when it was placed: nobody is matched within it.
    """

    id: OfferId
    market_id: MarketId
    market_version: int
    user_id: UserId
    owner: UUID
    side: Side
    ratio: Ratio
    stake: Minor
    placed_at: datetime
    options: Options = PLAIN


@dataclass(frozen=True, slots=True)
class Offer:
    """How a slip stands.

    At any time `matched + remaining + released == stake`, and `remaining` is zero exactly once it has ended.
    `sequence` is its place in time among the market's offers; none before its stake is held.
    """

    slip: Slip
    matched: Minor
    remaining: Minor
    released: Minor
    status: OfferStatus
    sequence: int | None = None
    ending: Ending | None = None

    @classmethod
    def pending(cls, slip: Slip) -> "Offer":
        return cls(slip, 0, slip.stake, 0, OfferStatus.PENDING)

    @property
    def id(self) -> OfferId:
        return self.slip.id

    @property
    def market_id(self) -> MarketId:
        return self.slip.market_id

    @property
    def user_id(self) -> UserId:
        return self.slip.user_id

    @property
    def side(self) -> Side:
        return self.slip.side

    @property
    def ratio(self) -> Ratio:
        return self.slip.ratio

    @property
    def stake(self) -> Minor:
        return self.slip.stake

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def is_public(self) -> bool:
        """Whether it is in the book for everyone; a challenge is between two."""
        return self.slip.options.challenges is None

    def is_over(self, now: datetime) -> bool:
        """Whether its own time has run out."""
        expires_at = self.slip.options.expires_at
        return expires_at is not None and expires_at <= now

    def placed(self, sequence: int) -> "Offer":
        """The offer with its place in time."""
        return Offer(
            self.slip, self.matched, self.remaining, self.released, self.status, sequence, self.ending
        )

    def drawn(self, amount: Minor) -> "Offer":
        """The offer after `amount` of it became a bet."""
        return Offer(
            self.slip,
            self.matched + amount,
            self.remaining - amount,
            self.released,
            self.status,
            self.sequence,
        )

    def taken(self, amount: Minor, min_stake: Minor) -> "Offer":
        """`drawn`, and `rested` with what is left."""
        left = self.remaining - amount
        if left >= min_stake:
            return Offer(
                self.slip, self.matched + amount, left, self.released, OfferStatus.PARTIAL, self.sequence
            )
        why = Ending.DUST if left else None
        return Offer(self.slip, self.matched + amount, 0, left, OfferStatus.FILLED, self.sequence, why)

    def rested(self, min_stake: Minor) -> "Offer":
        """The offer after matching: it rests, or it is filled and a residual too small to rest is released."""
        if self.remaining >= min_stake:
            status = OfferStatus.PARTIAL if self.matched else OfferStatus.OPEN
            return Offer(self.slip, self.matched, self.remaining, self.released, status, self.sequence)
        return self.ended(OfferStatus.FILLED, Ending.DUST if self.remaining else None)

    def ended(self, status: OfferStatus, why: Ending | None) -> "Offer":
        """The offer after its end, whatever was left of its stake released."""
        return Offer(self.slip, self.matched, 0, self.remaining, status, self.sequence, why)


def check_stake(stake: Minor, ratio: Ratio, *, min_stake: Minor, max_stake: Minor) -> None:
    """Raises StakeOutOfBounds or StakeNotWholeLots; a stake is a whole number of lots of the ratio's risk."""
    if not min_stake <= stake <= max_stake:
        raise StakeOutOfBounds("the stake is below the minimum or above the maximum", field="stake")
    if stake % ratio.risk:
        raise StakeNotWholeLots(
            f"a stake at {ratio} is a multiple of {ratio.risk} minor units", field="stake"
        )
