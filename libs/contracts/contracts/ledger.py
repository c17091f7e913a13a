"""The ledger's contract: what may be asked of it, over HTTP or AMQP alike, and what it answers."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from contracts.wire import (
    AccountPath,
    Amount,
    Command,
    Count,
    Currency,
    EntryKind,
    Event,
    IdempotencyKey,
    Moment,
    Ordinal,
    PositiveAmount,
    Reference,
    Request,
    Sha256,
    SignedAmount,
    Text,
    Wire,
)

MAX_POSTINGS = 500
"""Legs of one entry: a settlement chunk of 200 users with two legs each, escrow and house fit well."""

Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(strict=True, min_length=1, max_length=64)],
        Annotated[str, StringConstraints(strict=True, max_length=500)],
    ],
    Field(max_length=16),
]
"""What the caller wants to find again beside an entry. Never read by any rule."""


class Side(StrEnum):
    """Debit or credit; amounts themselves are never negative."""

    DEBIT = "debit"
    CREDIT = "credit"


class Posting(Request):
    """One leg of an entry. `hold` names the reservation that the leg opens or draws down."""

    account: AccountPath
    side: Side
    amount: PositiveAmount
    currency: Currency
    hold: UUID | None = None


MOST_CHUNKS = 2**31 - 1


def _counted(number: int) -> int:
    if number > MOST_CHUNKS:
        raise ValueError(f"must not be greater than {MOST_CHUNKS}")
    return number


Counted = Annotated[Ordinal, AfterValidator(_counted)]
"""An ordinal as the ledger keeps versions and chunks. Its schema says no maximum, since published ones only grow."""


class SettlementPart(Request):
    """Which chunk (from 1) of which version of a market's settlement an entry is.

    `total` is the whole escrow that all chunks together pay out; the ledger answers not-ready until
    the escrow has received exactly that much.
    """

    market: UUID
    version: Counted
    total: PositiveAmount
    chunk: Counted
    chunks: Counted

    @model_validator(mode="after")
    def _chunk_is_one_of_chunks(self) -> Self:
        if self.chunk > self.chunks:
            raise ValueError("chunk must not be greater than chunks")
        return self


class EntryParts(Request):
    """What there is to say about an entry beside its postings.

    `effective_at` is when it takes effect, from the year 2000 to now; without it, when it is posted.
    `expires_at` is when the hold that it opens goes back of itself: not in the past, at most 366 days away.
    """

    kind: EntryKind
    reference: Reference
    metadata: Metadata = Field(default_factory=dict)
    effective_at: Moment | None = None
    receipt: UUID | None = None
    settlement: SettlementPart | None = None
    expires_at: Moment | None = None


class EntryRequest(EntryParts):
    """A wish to post one entry; its idempotency key travels beside it (header) or in the command."""

    postings: Annotated[tuple[Posting, ...], Field(min_length=2, max_length=MAX_POSTINGS)]


class PostRequested(EntryRequest, Command):
    """The same wish over AMQP, for facts that must be booked. Answered by one of the two events below."""

    type: ClassVar[str] = "ledger.post.requested.v1"

    idempotency_key: IdempotencyKey


class PostedLeg(Wire):
    """One leg as booked. `balance` is the account's after it, positive on the account's normal side."""

    account: AccountPath
    side: Side
    amount: PositiveAmount
    currency: Currency
    balance: SignedAmount
    account_sequence: Ordinal
    hold: UUID | None = None


class EntryView(Wire):
    """An entry of the journal. `sequence` is its place in the ledger's one total order; entries that were
    posted together or not at all have the same `link`."""

    id: UUID
    sequence: Ordinal
    kind: EntryKind
    posted_at: Moment
    effective_at: Moment | None = None
    reference: Reference
    metadata: Metadata = Field(default_factory=dict)
    reverses: UUID | None = None
    link: UUID | None = None
    postings: tuple[PostedLeg, ...]


class EntryCommitted(EntryView, Event):
    """An entry is in the journal, whoever asked for it and through whichever door.

    Routed as `ledger.entry.committed.v1.<kind>`.
    """

    type: ClassVar[str] = "ledger.entry.committed.v1"

    principal: Text
    idempotency_key: IdempotencyKey
    receipt: UUID | None = None
    settlement: SettlementPart | None = None


class SealMade(Event):
    """Every entry up to `last` is sealed. Whoever keeps `number` and `hash` can verify the journal offline.

    `statement` is what was signed (Ed25519), to the letter; `hash` is SHA-256 of a byte 2 and the statement;
    `signature` is base64. `number` is the version: seals of a ledger are counted without gaps.
    """

    type: ClassVar[str] = "ledger.seal.made.v1"

    ledger: Text
    number: Ordinal
    first: Ordinal
    last: Ordinal
    entries: Ordinal
    hash: Sha256
    statement: str = Field(max_length=1000)
    signature: Text


class LedgerAccountClosed(Event):
    """An account takes no posting any more, for ever. It was at zero."""

    type: ClassVar[str] = "ledger.account.closed.v1"

    account: AccountPath
    currency: Currency
    account_sequence: Count
    principal: Text
    closed_at: Moment


class HoldChange(Wire):
    """What happened to a hold: `amount` of it, by `entry`, and the hold right after that."""

    hold: UUID
    entry: UUID
    sequence: Ordinal
    kind: EntryKind
    principal: Text
    reference: Reference
    account: AccountPath
    origin: AccountPath | None = None
    currency: Currency
    amount: PositiveAmount
    opened: PositiveAmount
    captured: Amount
    released: Amount
    remaining: Amount
    expires_at: Moment | None = None


class HoldOpened(HoldChange, Event):
    """Money was set aside."""

    type: ClassVar[str] = "ledger.hold.opened.v1"


class HoldCaptured(HoldChange, Event):
    """Part of a hold, or all of it, went where it was meant for."""

    type: ClassVar[str] = "ledger.hold.captured.v1"


class HoldReleased(HoldChange, Event):
    """Part of a hold, or all of it, went back."""

    type: ClassVar[str] = "ledger.hold.released.v1"


class HoldExpired(HoldChange, Event):
    """A hold was due: all that remained went back."""

    type: ClassVar[str] = "ledger.hold.expired.v1"


class RefusalReason(Wire):
    """Why: `slug` is the same as in the HTTP problem's type, `detail` is for people."""

    slug: Text
    detail: str


class PostRefused(Event):
    """A requested entry will never be posted under this key. A refused match or settlement is a defect.

    Routed as `ledger.post.refused.v1.<kind>`.
    """

    type: ClassVar[str] = "ledger.post.refused.v1"

    principal: Text
    idempotency_key: IdempotencyKey
    kind: EntryKind
    reference: Reference
    problem: RefusalReason


class SegregatedFunds(Wire):
    """The proof of one currency: the money at banks and payment providers against everything owed to others."""

    currency: Currency
    money: SignedAmount
    owed: SignedAmount
    covered: bool


class PeriodClosed(Event):
    """A period's books are closed: nothing takes effect in it any more.

    `sequence` is its last entry, `entries` their number; `late` of them take effect before it began.
    """

    ledger: Text
    starts_on: date
    ends_at: Moment
    sequence: Ordinal
    entries: Count
    late: Count
    proofs: tuple[SegregatedFunds, ...]


class DayClosed(PeriodClosed):
    """A day is closed, in the ledger's own time zone."""

    type: ClassVar[str] = "ledger.day.closed.v1"


class MonthClosed(PeriodClosed):
    """A month is closed: its last day was."""

    type: ClassVar[str] = "ledger.month.closed.v1"
