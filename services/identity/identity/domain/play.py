"""Responsible gaming: what people allow themselves. Less holds at once, more after a day to think."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from common.errors import Conflict, Invalid

from identity.domain.people import UserId

TIME_TO_THINK: Final = timedelta(hours=24)
FOR_GOOD: Final = datetime(9999, 1, 1, tzinfo=UTC)
LARGEST: Final = Decimal(1_000_000_000)
DECIMALS: Final = 2
SHORTEST_SESSION: Final = timedelta(minutes=5)
LONGEST_SESSION: Final = timedelta(days=1)


class Measure(StrEnum):
    """A loss is what was staked and has not come back; what is not settled yet counts as lost. A session is
    measured in minutes since its log-in, the others in pesos."""

    DEPOSIT = "deposit"
    STAKE = "stake"
    LOSS = "loss"
    SESSION = "session"


class Period(StrEnum):
    """Of the calendar in central Mexico; a session lasts as long as it does."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    SESSION = "session"


class Exclusion(StrEnum):
    """How long somebody may exclude themselves. A cool-off is short, a self-exclusion is not taken back."""

    ONE_DAY = "1-day"
    ONE_WEEK = "1-week"
    SIX_WEEKS = "6-weeks"
    SIX_MONTHS = "6-months"
    ONE_YEAR = "1-year"
    FIVE_YEARS = "5-years"
    FOR_GOOD = "for-good"


LENGTHS: Final = {
    Exclusion.ONE_DAY: timedelta(days=1),
    Exclusion.ONE_WEEK: timedelta(weeks=1),
    Exclusion.SIX_WEEKS: timedelta(weeks=6),
    Exclusion.SIX_MONTHS: timedelta(days=183),
    Exclusion.ONE_YEAR: timedelta(days=365),
    Exclusion.FIVE_YEARS: timedelta(days=5 * 365),
}


class InvalidLimit(Invalid):
    slug = "invalid-limit"
    title = "Not a limit"


class AlreadyExcluded(Conflict):
    """An exclusion is never shortened."""

    slug = "already-excluded"
    title = "Excluded for longer already"


Which = tuple[Measure, Period]
SESSION_LENGTH: Final = (Measure.SESSION, Period.SESSION)


@dataclass(frozen=True, slots=True)
class PlayLimit:
    """What holds now (None: nothing) and, until `pending_from`, what will hold afterwards."""

    amount: Decimal | None
    set_at: datetime
    pending: Decimal | None = None
    pending_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlayPolicy:
    """All of one person's limits. Version `acknowledged` holds: in the ledger, and for the sessions there are."""

    user: UserId
    changed_at: datetime
    version: int = 0
    acknowledged: int = 0
    blocked_until: datetime | None = None
    limits: Mapping[Which, PlayLimit] = field(default_factory=dict)

    @property
    def confirmed(self) -> bool:
        """Whether the newest change holds."""
        return self.acknowledged == self.version

    @property
    def caps(self) -> Mapping[Which, Decimal]:
        """What holds now of what the ledger counts, in pesos."""
        return {
            which: limit.amount
            for which, limit in self.limits.items()
            if limit.amount is not None and which != SESSION_LENGTH
        }

    @property
    def session_length(self) -> timedelta | None:
        """How long a session lasts at most, whatever is usual; None when they do not limit it."""
        limit = self.limits.get(SESSION_LENGTH)
        return None if limit is None or limit.amount is None else timedelta(minutes=int(limit.amount))


def set_limit(policy: PlayPolicy, which: Which, amount: Decimal | None, *, now: datetime) -> PlayPolicy:
    """The policy with another limit, or (None) without it.

    A first or a smaller one holds at once; a larger one, or none, after a day. Setting what holds already takes
    back what was waiting. Raises InvalidLimit.
    """
    _check(which, amount)
    known = policy.limits.get(which)
    holds = None if known is None else known.amount
    if holds is None and amount is None:
        return policy
    grows = holds is not None and (amount is None or amount > holds)
    limit = PlayLimit(holds, now, amount, now + TIME_TO_THINK) if grows else PlayLimit(amount, now)
    return _next(policy, {which: limit}, now)


def grow(policy: PlayPolicy, *, now: datetime) -> PlayPolicy:
    """The policy in which what was waiting and is due holds; the same one if nothing is."""
    due = {
        which: PlayLimit(limit.pending, now)
        for which, limit in policy.limits.items()
        if limit.pending_from is not None and limit.pending_from <= now
    }
    return _next(policy, due, now) if due else policy


def exclude(policy: PlayPolicy, until: datetime, *, now: datetime) -> PlayPolicy:
    """The policy of somebody who neither stakes nor deposits until then. Raises AlreadyExcluded."""
    if policy.blocked_until is not None and policy.blocked_until >= until:
        raise AlreadyExcluded(f"until {policy.blocked_until.isoformat()}")
    return replace(policy, blocked_until=until, version=policy.version + 1, changed_at=now)


def until(exclusion: Exclusion, now: datetime) -> datetime:
    """When an exclusion that begins now ends."""
    length = LENGTHS.get(exclusion)
    return FOR_GOOD if length is None else now + length


def _next(policy: PlayPolicy, changed: Mapping[Which, PlayLimit], now: datetime) -> PlayPolicy:
    return replace(policy, limits={**policy.limits, **changed}, version=policy.version + 1, changed_at=now)


def _check(which: Which, amount: Decimal | None) -> None:
    measure, period = which
    if (measure is Measure.SESSION) != (period is Period.SESSION):
        raise InvalidLimit(
            "A session is limited by session, everything else by day, week or month.", field="period"
        )
    if amount is None:
        return
    if measure is Measure.SESSION:
        shortest, longest = (int(each.total_seconds()) // 60 for each in (SHORTEST_SESSION, LONGEST_SESSION))
        if not amount.is_finite() or amount != int(amount) or not shortest <= amount <= longest:
            raise InvalidLimit(f"{shortest} to {longest} whole minutes.", field="amount")
        return
    exponent = amount.as_tuple().exponent
    if not 0 <= amount <= LARGEST or not isinstance(exponent, int) or exponent < -DECIMALS:
        raise InvalidLimit(f"0 to {LARGEST} pesos, with at most {DECIMALS} decimals.", field="amount")
