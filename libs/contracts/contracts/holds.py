"""Holds: money of one account set aside for one purpose, captured in parts, released, or gone back by itself."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.ledger import Metadata
from contracts.wire import (
    AccountPath,
    Amount,
    Currency,
    EntryKind,
    Moment,
    PositiveAmount,
    Reference,
    Request,
    Wire,
)


class HoldRequest(Request):
    """A wish to set `amount` of `account` aside. `hold` is its id; without it, the id of the entry that
    opens it. `expires_at` is yet to come, at most 366 days away; without it the hold stays until it is drawn."""

    kind: EntryKind = "hold.open"
    account: AccountPath
    amount: PositiveAmount
    currency: Currency
    reference: Reference
    hold: UUID | None = None
    expires_at: Moment | None = None
    metadata: Metadata = Field(default_factory=dict)


class Share(Request):
    """What one account gets of a capture."""

    account: AccountPath
    amount: PositiveAmount


class CaptureRequest(Request):
    """A wish to move part of a hold, or all of it, to where it was meant for."""

    kind: EntryKind = "hold.capture"
    to: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100)]
    metadata: Metadata = Field(default_factory=dict)


class ReleaseRequest(Request):
    """A wish to give `amount` of a hold back to its account; all that remains, without it."""

    kind: EntryKind = "hold.release"
    amount: PositiveAmount | None = None
    metadata: Metadata = Field(default_factory=dict)


class HoldView(Wire):
    """A hold as it is now: opened = captured + released + remaining, always.

    `account` is where the money is, `origin` where it came from and what is released goes back to.
    `expired` tells that the rest went back of itself.
    """

    hold: UUID
    account: AccountPath
    origin: AccountPath | None
    currency: Currency
    reference: Reference
    opened: PositiveAmount
    captured: Amount
    released: Amount
    remaining: Amount
    expired: bool
    expires_at: Moment | None
