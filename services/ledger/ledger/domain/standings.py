"""Where a player with limits stands: what they may, and what came together so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so much of a measure (deposit, stake, loss) in a period (day, week, month)."""

    measure: str
    period: str
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Count:
    """What came together in a period. What is staked and not settled yet counts as lost."""

    deposited: Decimal = Decimal(0)
    staked: Decimal = Decimal(0)
    returned: Decimal = Decimal(0)

    def of(self, measure: str) -> Decimal:
        match measure:
            case "deposit":
                return self.deposited
            case "stake":
                return self.staked
            case _:
                return self.staked - self.returned


@dataclass(frozen=True, slots=True)
class Standing:
    """A player's caps, where they stand by (currency, period), and whether they are blocked now."""

    blocked: bool
    caps: tuple[Cap, ...]
    counts: Mapping[tuple[str, str], Count]
