"""What the reading routes are asked."""

from __future__ import annotations

from typing import Annotated, Literal

from common.errors import Invalid
from common.http.cursors import MAX_CURSOR
from common.wire import Body, CurrencyText, Moment
from pydantic import Field

from ledger.service.exporting import Format
from ledger.service.finding import EntryFilter
from ledger.service.reading import AsOf

PathText = Annotated[str, Field(min_length=1, max_length=200)]
Cursor = Annotated[str, Field(min_length=1, max_length=MAX_CURSOR)]
Limit = Annotated[int, Field(ge=1, le=500)]
SequenceNumber = Annotated[int, Field(ge=0, lt=2**62)]
Order = Literal["oldest", "newest"]


class AsOfQuery(Body):
    """`at` is everything posted up to and including that moment; `sequence` a place in the total order."""

    at: Moment | None = None
    sequence: SequenceNumber | None = None

    @property
    def as_of(self) -> AsOf:
        """Raises Invalid for both at once."""
        if self.at is not None and self.sequence is not None:
            raise Invalid("take at or sequence, not both", field="sequence")
        return AsOf(self.sequence, self.at)


class BalanceQuery(AsOfQuery):
    """`min_sequence`: the answer shows at least that many postings of the account."""

    account: PathText
    currency: CurrencyText = "MXN"
    min_sequence: SequenceNumber = 0


class AccountsQuery(AsOfQuery):
    prefix: str = Field(default="", max_length=200)
    after: Cursor | None = None
    limit: Limit = 100


class StatementQuery(AsOfQuery):
    """`posted_from` leaves out what was posted before it."""

    account: PathText
    currency: CurrencyText = "MXN"
    posted_from: Moment | None = None
    order: Order = "oldest"
    after: Cursor | None = None
    limit: Limit = 100


class WalletStatementQuery(Body):
    account: Literal["available", "held", "withdrawing"] = "available"
    currency: CurrencyText = "MXN"
    order: Order = "oldest"
    after: Cursor | None = None
    limit: Limit = 100


class EntriesFilterQuery(Body):
    """One of account, prefix, kind, reference, metadata and effective time; posting times with any but the last.

    Ranges begin with their `from` and end before their `to`.
    """

    account: PathText | None = None
    currency: CurrencyText = "MXN"
    prefix: PathText | None = None
    kind: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    reference: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    metadata_key: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    metadata_value: Annotated[str, Field(max_length=500)] | None = None
    effective_from: Moment | None = None
    effective_to: Moment | None = None
    posted_from: Moment | None = None
    posted_to: Moment | None = None

    @property
    def filter(self) -> EntryFilter:
        """Raises Invalid for half of a metadata pair."""
        metadata = None
        if self.metadata_key is not None and self.metadata_value is not None:
            metadata = self.metadata_key, self.metadata_value
        elif self.metadata_key is not None:
            raise Invalid("say which value", field="metadata_value")
        elif self.metadata_value is not None:
            raise Invalid("say which key", field="metadata_key")
        return EntryFilter(
            self.account,
            self.currency,
            self.prefix,
            self.kind,
            self.reference,
            metadata,
            self.effective_from,
            self.effective_to,
            self.posted_from,
            self.posted_to,
        )


class EntriesQuery(EntriesFilterQuery):
    order: Order = "oldest"
    after: Cursor | None = None
    limit: Limit = 100


class TrialBalanceQuery(AsOfQuery):
    pass


class StatementExportQuery(AsOfQuery):
    account: PathText
    currency: CurrencyText = "MXN"
    posted_from: Moment | None = None
    format: Format = "csv"


class EntriesExportQuery(EntriesFilterQuery):
    format: Format = "csv"
