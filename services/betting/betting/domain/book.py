"""The book of one market: what rests in it, in price-time order, and what everyone may see of it."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from betting.domain.ids import Minor, OfferId
from betting.domain.offers import Offer, OfferStatus, Side, Slip
from betting.domain.ratios import BY_RANK, LADDER, Ratio

_LONGEST = len(LADDER) // 2


@dataclass(frozen=True, slots=True)
class Level:
    """Everything that rests at one ratio on one side, whoever offers it. Absolute: zero means the level is gone."""

    side: Side
    ratio: Ratio
    amount: Minor


class _Side:
    """One side of the book: by rank, what rests there in the order it came, by sequence number.

    Ordered dicts, because offers leave at the front: a plain dict would be searched from where the first ones were.
    `ranks` has a bit for every rank with something in it.
    """

    __slots__ = ("levels", "ranks")

    def __init__(self) -> None:
        self.levels: tuple[OrderedDict[int, Offer], ...] = tuple(OrderedDict() for _ in LADDER)
        self.ranks = 0

    def put(self, at: int, sequence: int, offer: Offer) -> None:
        self.levels[at][sequence] = offer
        self.ranks |= 1 << at

    def drop(self, at: int, sequence: int) -> None:
        level = self.levels[at]
        level.pop(sequence, None)
        if not level:
            self.ranks &= ~(1 << at)


class Book:
    """Resting offers by side and rank; in each rank in the order they came.

    Insertion keeps time order because sequence numbers only grow, and an offer that is drawn down keeps its place.
    """

    __slots__ = ("_a", "_all", "_b", "_expiring")

    def __init__(self, resting: Iterable[Offer] = ()) -> None:
        """`resting` in the order of their sequence numbers."""
        self._a, self._b = _Side(), _Side()
        self._all: dict[OfferId, Offer] = {}
        self._expiring: dict[OfferId, datetime] = {}
        for offer in resting:
            self.put(offer)

    def put(self, offer: Offer) -> None:
        """Take note of how an offer stands now: it rests, or it is gone."""
        slip, status, sequence = offer.slip, offer.status, offer.sequence or 0
        side = self._a if slip.side is Side.A else self._b
        if status is OfferStatus.OPEN or status is OfferStatus.PARTIAL:
            self._all[slip.id] = offer
            if slip.options.challenges is None:
                side.put(slip.ratio.rank + _LONGEST, sequence, offer)
            if slip.options.expires_at is not None:
                self._expiring[slip.id] = slip.options.expires_at
        elif self._all.pop(slip.id, None) is not None:
            side.drop(slip.ratio.rank + _LONGEST, sequence)
            self._expiring.pop(slip.id, None)

    def makers(self, taker: Offer) -> Iterator[Offer]:
        """The offers that `taker` may meet: best price first, then the earliest. A challenge's answer meets only it."""
        slip = taker.slip
        if slip.options.answers is not None:
            challenge = self._all.get(slip.options.answers)
            if challenge is not None and _is_answered_by(challenge.slip, slip):
                yield challenge
            return
        if slip.options.challenges is not None:
            return
        side = self._b if slip.side is Side.A else self._a
        worst = _LONGEST - slip.ratio.rank
        ranks = side.ranks >> worst << worst
        while ranks:
            best = ranks.bit_length() - 1
            yield from side.levels[best].values()
            ranks &= ~(1 << best)

    def expired(self, now: datetime) -> list[OfferId]:
        """Offers whose own time is over."""
        return [id for id, at in self._expiring.items() if at <= now] if self._expiring else []

    def find(self, id: OfferId) -> Offer | None:
        """The offer of that id, if it rests here."""
        return self._all.get(id)

    def level(self, side: Side, rank: int) -> Level:
        resting = self._of(side).levels[rank + _LONGEST].values()
        return Level(side, BY_RANK[rank], sum(offer.remaining for offer in resting))

    def levels(self) -> list[Level]:
        """Every level with something in it: best price for a taker first, per side."""
        return [
            self.level(side, at - _LONGEST)
            for side in Side
            for at in range(len(LADDER) - 1, -1, -1)
            if self._of(side).levels[at]
        ]

    def resting(self) -> list[Offer]:
        """Everything that rests, challenges included, the earliest first."""
        return sorted(self._all.values(), key=lambda offer: offer.sequence or 0)

    def _of(self, side: Side) -> _Side:
        return self._a if side is Side.A else self._b


def _is_answered_by(challenge: Slip, answer: Slip) -> bool:
    """Only by the person it was made to, and only on the other side."""
    return challenge.options.challenges == answer.user_id and challenge.side is not answer.side
