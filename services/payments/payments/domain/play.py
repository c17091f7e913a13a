"""What players allow themselves, as far as it concerns money from a card.

A transfer that is too much is refused by the ledger and goes back by way of suspense. A card's money is better not
taken in the first place, so this is asked before the provider is; the ledger counts the capture and does not refuse
what has happened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Final, assert_never

CENTRAL_MEXICO: Final = timezone(timedelta(hours=-6))
"""Where a day, a week and a month begin; the ledger counts by the same (its `period_start`)."""


class Period(StrEnum):
    """Over how long deposits are added up."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Allowance:
    """Until when a player may not play at all, and how much they may deposit in each period, in pesos."""

    blocked_until: datetime | None = None
    deposits: Mapping[Period, Decimal] = field(default_factory=dict)


def period_start(period: Period, now: datetime) -> datetime:
    """When the day, the week (from Monday) or the month of `now` began, in UTC."""
    midnight = now.astimezone(CENTRAL_MEXICO).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAY:
            return midnight.astimezone(UTC)
        case Period.WEEK:
            return (midnight - timedelta(days=midnight.weekday())).astimezone(UTC)
        case Period.MONTH:
            return midnight.replace(day=1).astimezone(UTC)
        case _:
            assert_never(period)


def forbids(
    allowance: Allowance, amount: Decimal, deposited: Mapping[Period, Decimal], now: datetime
) -> str | None:
    """Why the player may not deposit so much on top of what they have `deposited` in each period; None if they may.

    In the ledger's words.
    """
    if allowance.blocked_until is not None and now < allowance.blocked_until:
        return "player-blocked"
    beyond = any(
        deposited.get(period, Decimal(0)) + amount > cap for period, cap in allowance.deposits.items()
    )
    return "limit-exceeded" if beyond else None
