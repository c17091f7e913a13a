"""Matching once more, written to be obviously right and in no way like the real one.

It keeps prices as fractions and makes bets one lot at a time: as long as the best standing maker and the taker can
both pay for one more lot, they bet it.
"""

from dataclasses import dataclass
from fractions import Fraction

from betting.domain.offers import Offer


@dataclass
class Standing:
    """An offer as the model sees it."""

    id: object
    owner: object
    side: str
    price: Fraction
    risk: int
    win: int
    time: int
    left: int
    state: str = "open"

    @classmethod
    def of(cls, offer: Offer, time: int) -> "Standing":
        ratio = offer.ratio
        return cls(
            offer.id, offer.user_id, offer.side.value, Fraction(ratio.risk, ratio.win), ratio.risk, ratio.win, time,
            offer.stake,
        )  # fmt: skip


class SlowBook:
    """A market that bets lot by lot."""

    def __init__(self, min_stake: int) -> None:
        self.min_stake = min_stake
        self.standing: list[Standing] = []
        self.bets: dict[tuple[object, object], list[int]] = {}

    def place(self, offer: Offer) -> None:
        taker = Standing.of(offer, len(self.standing))
        self.standing.append(taker)
        while (maker := self._best_against(taker)) is not None and taker.left >= maker.win:
            if maker.owner == taker.owner:
                taker.state = "over"
                break
            if not self._bet_a_lot(maker, taker):
                break
        for each in self.standing:
            if each.left < self.min_stake:
                each.state = "over"

    def _best_against(self, taker: Standing) -> Standing | None:
        willing = [
            each
            for each in self.standing
            if each.state == "open"
            and each.side != taker.side
            and each.left >= each.risk
            and each.price * taker.price >= 1
        ]
        return max(willing, key=lambda each: (each.price, -each.time), default=None)

    def _bet_a_lot(self, maker: Standing, taker: Standing) -> bool:
        """Whether both could still pay for one."""
        if maker.left < maker.risk or taker.left < maker.win:
            return False
        maker.left -= maker.risk
        taker.left -= maker.win
        stakes = self.bets.setdefault((maker.id, taker.id), [0, 0])
        stakes[0] += maker.risk
        stakes[1] += maker.win
        return True
