"""Commands about a hold, made from the hold itself: where its money is, came from, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Leg, entry_id


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for an entry, under which key, in which trace."""

    ledger: int
    principal: str
    key: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class HoldState:
    """A hold as it is: opened = captured + released + remaining. `origin` is None when its money came from
    several accounts."""

    id: UUID
    account: str
    origin: str | None
    currency: str
    reference: str
    opened: Decimal
    captured: Decimal
    released: Decimal
    remaining: Decimal
    expired: bool
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Opening:
    """A hold wanted: `amount` of `account`, for what `reference` names."""

    kind: str
    account: str
    amount: Decimal
    currency: str
    reference: str
    hold: UUID | None
    expires_at: datetime | None
    overdue: bool
    metadata: Mapping[str, str]


def open_hold(caller: Caller, chart: Chart, wanted: Opening) -> Command:
    """The command that opens a hold; its id is the entry's unless another is wanted.

    Raises:
        TemplateViolation: that kind holds nothing of that account. Not stored: nothing was asked of the books.
    """
    holding = chart.holding_account(wanted.kind, wanted.account)
    if holding is None:
        raise refusals.TemplateViolation(f"{wanted.kind} holds nothing of {wanted.account}", field="account")
    hold = wanted.hold or entry_id(caller.ledger, caller.principal, caller.key)
    return Command(
        caller.ledger,
        caller.principal,
        caller.key,
        wanted.kind,
        (
            Leg(wanted.account, wanted.currency, wanted.amount),
            Leg(holding, wanted.currency, -wanted.amount, hold),
        ),
        wanted.reference,
        wanted.metadata,
        traceparent=caller.traceparent,
        expires_at=wanted.expires_at,
        overdue=wanted.overdue,
    )


def draw_hold(
    caller: Caller,
    hold: HoldState,
    kind: str,
    shares: Sequence[tuple[str, Decimal]],
    metadata: Mapping[str, str],
) -> Command:
    """The command that moves part of a hold to other accounts."""
    whole = sum((amount for _, amount in shares), Decimal(0))
    return Command(
        caller.ledger,
        caller.principal,
        caller.key,
        kind,
        (
            Leg(hold.account, hold.currency, whole, hold.id),
            *(Leg(account, hold.currency, -amount) for account, amount in shares),
        ),
        hold.reference,
        metadata,
        traceparent=caller.traceparent,
    )


def release_hold(
    caller: Caller, hold: HoldState, kind: str, amount: Decimal | None, metadata: Mapping[str, str]
) -> Command:
    """The command that gives `amount` of a hold back, or all that remains.

    Raises:
        HoldMismatch: it was taken from several accounts.
    """
    if amount is not None and hold.origin is not None:
        return draw_hold(caller, hold, kind, [(hold.origin, amount)], metadata)
    if amount is not None:
        raise refusals.HoldMismatch(f"hold {hold.id} was taken from several accounts", field="amount")
    return Command(
        caller.ledger,
        caller.principal,
        caller.key,
        kind,
        (),
        hold.reference,
        metadata,
        traceparent=caller.traceparent,
        drains=hold.id,
    )
