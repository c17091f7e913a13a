"""The book of one market: what rests in it, in price-time order, and what everyone may see of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from betting.domain.ids import Minor, OfferId
from betting.domain.offers import RESTING, Offer, Side
from betting.domain.ratios import BY_RANK, LADDER, Ratio

_LONGEST = len(LADDER) // 2


@dataclass(frozen=True, slots=True)
class Level:
    """Everything that rests at one ratio on one side, whoever offers it. Absolute: zero means the level is gone."""

    side: Side
    ratio: Ratio
    amount: Minor


class Book:
    """Resting offers by side and rank; in each rank in the order they came.

    Insertion keeps time order because sequence numbers only grow; a dict keeps insertion order, and an offer that
    is drawn down keeps its place.
    """

    __slots__ = ("_all", "_challenges", "_expiring", "_ranks")

    def __init__(self, resting: Iterable[Offer] = ()) -> None:
        """`resting` in the order of their sequence numbers."""
        self._ranks: dict[Side, tuple[dict[OfferId, Offer], ...]] = {
            side: tuple({} for _ in LADDER) for side in Side
        }
        self._all: dict[OfferId, Offer] = {}
        self._challenges: dict[OfferId, Offer] = {}
        self._expiring: dict[OfferId, datetime] = {}
        for offer in resting:
            self.put(offer)

    def put(self, offer: Offer) -> None:
        """Take note of how an offer stands now: it rests, or it is gone."""
        place = self._challenges if not offer.is_public else self._rank(offer)
        if offer.status in RESTING:
            place[offer.id] = self._all[offer.id] = offer
            if offer.slip.options.expires_at is not None:
                self._expiring[offer.id] = offer.slip.options.expires_at
        else:
            place.pop(offer.id, None)
            self._all.pop(offer.id, None)
            self._expiring.pop(offer.id, None)

    def makers(self, taker: Offer) -> Iterator[Offer]:
        """The offers that `taker` may meet: best price first, then the earliest. A challenge's answer meets only it."""
        answered = taker.slip.options.answers
        if answered is not None:
            challenge = self._challenges.get(answered)
            if challenge is not None and challenge.slip.options.challenges == taker.user_id:
                yield challenge
            return
        if not taker.is_public:
            return
        worst = _LONGEST - taker.ratio.rank
        ranks = self._ranks[taker.side.opposite]
        for at in range(len(LADDER) - 1, worst - 1, -1):
            yield from ranks[at].values()

    def expired(self, now: datetime) -> list[OfferId]:
        """Offers whose own time is over."""
        return [id for id, at in self._expiring.items() if at <= now] if self._expiring else []

    def find(self, id: OfferId) -> Offer | None:
        """The offer of that id, if it rests here."""
        return self._all.get(id)

    def level(self, side: Side, rank: int) -> Level:
        resting = self._ranks[side][rank + _LONGEST].values()
        return Level(side, BY_RANK[rank], sum(offer.remaining for offer in resting))

    def levels(self) -> list[Level]:
        """Every level with something in it: best price for a taker first, per side."""
        return [
            self.level(side, at - _LONGEST)
            for side in Side
            for at in range(len(LADDER) - 1, -1, -1)
            if self._ranks[side][at]
        ]

    def resting(self) -> list[Offer]:
        """Everything that rests, challenges included, the earliest first."""
        return sorted(self._all.values(), key=lambda offer: offer.sequence or 0)

    def _rank(self, offer: Offer) -> dict[OfferId, Offer]:
        return self._ranks[offer.side][offer.ratio.rank + _LONGEST]
