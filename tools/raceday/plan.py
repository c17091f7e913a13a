"""What everyone will do on a simulated day, drawn from a seed before anything happens.

The plan does not depend on what the platform answers, so the same seed is the same day. Stakes stay
far below what everyone deposited: no answer depends on who was faster.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tools.raceday.card import Card

RATIOS = ((1, 1), (20, 19), (10, 9), (20, 17), (5, 4), (4, 3), (10, 7), (3, 2), (5, 3), (2, 1))
"""Risk to win, as people say it; each is used both ways round."""

DEPOSIT_CENTAVOS = 2_000_000
MAX_STAKE_CENTAVOS = 20_000
CANCELLED_OF_100 = 8
TAKERS_OF_100 = 55


@dataclass(frozen=True, slots=True)
class PlannedOffer:
    """One offer: who, on which horse (0 or 1), risking `risk` to win `win`, and how many centavos in all."""

    bettor: int
    horse: int
    risk: int
    win: int
    stake_centavos: int
    cancelled: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Offers by race number, in the order they are placed; who withdraws how much at the end."""

    offers: dict[int, tuple[PlannedOffer, ...]]
    withdrawals: dict[int, int]


def draw(card: Card, seed: int, bettors: int, offers: int) -> Plan:
    """The day of this seed, with at least `offers` offers spread over the card's races."""
    dice = random.Random(seed)
    each = -(-offers // len(card.races))
    planned = {race.number: _offers(dice, bettors, each) for race in card.races}
    withdrawals = {
        bettor: dice.randint(1, 40) * 1_000 for bettor in dice.sample(range(bettors), max(1, bettors // 8))
    }
    return Plan(planned, withdrawals)


def _offers(dice: random.Random, bettors: int, count: int) -> tuple[PlannedOffer, ...]:
    """Offers around one price, so that many cross and many of those only in part."""
    favourite, middle = dice.randint(0, 1), dice.randrange(len(RATIOS))
    planned = []
    for _ in range(count):
        horse = dice.randint(0, 1)
        high, low = RATIOS[max(0, min(len(RATIOS) - 1, middle + dice.choice((-1, 0, 0, 1))))]
        risk, win = (high, low) if horse == favourite else (low, high)
        if dice.randrange(100) < TAKERS_OF_100:
            risk, win = _better_for_the_other_side(risk, win)
        lots = dice.randint(1, max(1, MAX_STAKE_CENTAVOS // (risk * 100)))
        planned.append(
            PlannedOffer(
                dice.randrange(bettors),
                horse,
                risk,
                win,
                lots * risk * 100,
                dice.randrange(100) < CANCELLED_OF_100,
            )
        )
    return tuple(planned)


def _better_for_the_other_side(risk: int, win: int) -> tuple[int, int]:
    """The next ladder step that risks more for the same win: an offer made to be taken."""
    ladder = sorted({*RATIOS, *((win, risk) for risk, win in RATIOS)}, key=lambda step: step[0] / step[1])
    return ladder[min(ladder.index((risk, win)) + 1, len(ladder) - 1)]


def pesos(centavos: int) -> str:
    """Centavos as an amount on the wire."""
    return f"{centavos // 100}.{centavos % 100:02d}"
