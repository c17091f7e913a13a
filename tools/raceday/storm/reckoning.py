"""What everybody should have in the end, worked out from the bets by other means than betting's and PostgreSQL's.

Fractions of pesos, bet by bet, with nothing but the rules as they are told to people: the winner takes the pot; commission is
of what somebody is ahead in the market, the part of a centavo left to them; tax is of what is left of that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from tools.raceday.client import Json

MARGINS = ("media cabeza", "cabeza", "pescuezo", "paleta", "faja", "ijar", "pico a rabo", "blanco")
TOO_LATE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two in a bet."""

    bettor: str
    runner: str
    risked: Fraction


@dataclass(frozen=True, slots=True)
class Bet:
    sides: tuple[Side, Side]
    matched_at: datetime

    @property
    def pot(self) -> Fraction:
        return self.sides[0].risked + self.sides[1].risked


@dataclass
class Ends:
    """What a settled market leaves: who is how much ahead or behind, and what the house and the tax office have of it."""

    gains: dict[str, Fraction] = field(default_factory=lambda: defaultdict(Fraction))
    commission: Fraction = Fraction(0)
    withheld: Fraction = Fraction(0)


def ends(market: Json, bets: Iterable[Bet], seen: Json | None, tax_bps: int) -> Ends:
    """`market` as it was shown when it opened; `seen` None: it is void."""
    result = Ends()
    if seen is None:
        return result
    off = datetime.fromisoformat(seen["off_time"])
    ahead: dict[str, Fraction] = defaultdict(Fraction)
    for bet in bets:
        if bet.matched_at <= off - TOO_LATE:
            for side, gets in zip(bet.sides, _shares(market, bet, seen), strict=True):
                ahead[side.bettor] += gets - side.risked
    for bettor, gain in ahead.items():
        commission = _floored(max(gain, Fraction(0)) * market["commission_bps"] / 10_000)
        withheld = _floored((max(gain, Fraction(0)) - commission) * tax_bps / 10_000)
        result.gains[bettor] = gain - commission - withheld
        result.commission += commission
        result.withheld += withheld
    return result


def _shares(market: Json, bet: Bet, seen: Json) -> tuple[Fraction, Fraction]:
    """What each side of a bet gets out of its pot."""
    one, other = bet.sides
    match _winner(market, seen):
        case "push":
            return one.risked, other.risked
        case "split":
            odd = (bet.pot * 100) % 2
            half = (bet.pot * 100 - odd) / 200
            extra = odd / 100
            return half + extra * (one.risked > other.risked), half + extra * (other.risked > one.risked)
        case winner:
            return (bet.pot, Fraction(0)) if one.runner == winner else (Fraction(0), bet.pot)


def _winner(market: Json, seen: Json) -> str:
    """The runner whose backers are paid; or "push", or "split"."""
    one, other = market["runners"]
    order = [runner for group in seen["places"] for runner in group] if seen.get("places") else []
    together = {frozenset(group) for group in seen.get("places") or ()}
    if not order:
        first = seen["winner"]
    elif any({one, other} <= group for group in together):
        first = None
    else:
        came = [runner for runner in order if runner in (one, other)]
        first = came[0] if came else None
    if market["kind"] == "VENTAJA":
        giver, taker = market["giver"], other if market["giver"] == one else one
        if first != giver:
            return str(taker)
        by, line = MARGINS.index(seen["margin"]), MARGINS.index(market["line"])
        return "push" if by == line else str(giver if by > line else taker)
    if first is None:
        return "split" if market["tie_rule"] == "SPLIT_POT" else "push"
    return str(first)


def _floored(pesos: Fraction) -> Fraction:
    return Fraction(pesos * 100 // 1, 100)
