"""Our bank account as the rail's statement shows it, against the same account in the ledger. Pure.

Every movement has a key that both sides can name: a transfer that came by its tracking key, an order of ours by
its clave, an order that came back by its clave as well. What has the same key must have the same amount, once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

ZERO: Final = Decimal(0)


class Difference(StrEnum):
    """What is not as it should be. The ledger is the internal side."""

    MISSING_INTERNAL = "MISSING_INTERNAL"
    MISSING_EXTERNAL = "MISSING_EXTERNAL"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    DUPLICATE = "DUPLICATE"


@dataclass(frozen=True, slots=True)
class Movement:
    """Money into the account (positive) or out of it, in pesos."""

    key: str
    amount: Decimal
    at: datetime
    about: str


@dataclass(frozen=True, slots=True)
class Found:
    """A difference, with what either side says."""

    difference: Difference
    key: str
    ours: Decimal
    theirs: Decimal
    at: datetime
    about: str


@dataclass(frozen=True, slots=True)
class Report:
    """`ours` and `theirs` are what came together on either side; `residual` is what the differences do not explain."""

    matched: int
    ours: Decimal
    theirs: Decimal
    found: Sequence[Found]

    @property
    def residual(self) -> Decimal:
        """Zero, or the report is wrong."""
        return (self.ours - self.theirs) - sum((each.ours - each.theirs for each in self.found), ZERO)


def came_in(tracking_key: str) -> str:
    return f"in:{tracking_key.upper()}"


def went_out(clave: str) -> str:
    return f"out:{clave.upper()}"


def came_back(clave: str) -> str:
    return f"back:{clave.upper()}"


def compare(ours: Sequence[Movement], theirs: Sequence[Movement]) -> Report:
    """Each key in one bucket. The order of either side changes nothing."""
    sides: dict[str, tuple[list[Movement], list[Movement]]] = defaultdict(lambda: ([], []))
    for each in ours:
        sides[each.key][0].append(each)
    for each in theirs:
        sides[each.key][1].append(each)
    found = [difference for key in sorted(sides) if (difference := _difference(key, *sides[key])) is not None]
    return Report(len(sides) - len(found), _sum(ours), _sum(theirs), found)


def _difference(key: str, ours: Sequence[Movement], theirs: Sequence[Movement]) -> Found | None:
    if not ours:
        what = Difference.MISSING_INTERNAL
    elif not theirs:
        what = Difference.MISSING_EXTERNAL
    elif len(ours) != 1 or len(theirs) != 1:
        what = Difference.DUPLICATE
    elif ours[0].amount != theirs[0].amount:
        what = Difference.AMOUNT_MISMATCH
    else:
        return None
    first = min((*ours, *theirs), key=lambda each: (each.at, each.about))
    return Found(what, key, _sum(ours), _sum(theirs), first.at, first.about)


def _sum(movements: Sequence[Movement]) -> Decimal:
    return sum((each.amount for each in movements), ZERO)
