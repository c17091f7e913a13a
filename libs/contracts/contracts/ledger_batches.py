"""Many entries in one request: independent groups, each posted whole or not at all."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from contracts.ledger import MAX_POSTINGS, EntryParts, EntryView, Metadata, Posting
from contracts.wire import IdempotencyKey, Moment, Request, Text, Wire

MAX_ENTRIES: Final = 1_000
"""Entries of one request, in all its groups together."""

MAX_LINKED: Final = 100
"""Entries of one group."""

TraceParent = Annotated[
    str, StringConstraints(strict=True, pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
]

MAX_LEGS: Final = 5_000
"""Postings of one request, in all its entries together."""


class KeyedEntry(EntryParts):
    """An entry with its own idempotency key, so that each is posted once however often it is sent.

    The ledger itself writes the postings of an entry that `reverses` another (its mirror, once) or
    `drains` a hold (all that remains of it, back where it came from): then `postings` stays empty.
    `traceparent` is the trace it belongs to, for a caller that gathers entries of many; it is no part of the wish.
    """

    idempotency_key: IdempotencyKey
    reverses: UUID | None = None
    drains: UUID | None = None
    traceparent: TraceParent | None = None
    postings: Annotated[
        tuple[Posting, ...], Field(default=(), max_length=MAX_POSTINGS, validate_default=True)
    ]

    @field_validator("drains")
    @classmethod
    def _one_of_both(cls, drains: UUID | None, others: ValidationInfo) -> UUID | None:
        if drains and others.data.get("reverses"):
            raise ValueError("an entry reverses or drains, not both")
        return drains

    @field_validator("postings")
    @classmethod
    def _postings_unless_derived(
        cls, postings: tuple[Posting, ...], others: ValidationInfo
    ) -> tuple[Posting, ...]:
        if others.data.get("reverses") or others.data.get("drains"):
            if postings:
                raise ValueError("the ledger writes them itself: leave them out")
        elif len(postings) < 2:
            raise ValueError("an entry has at least 2 postings")
        return postings


Group = Annotated[tuple[KeyedEntry, ...], Field(min_length=1, max_length=MAX_LINKED)]
"""Linked entries: all of them are posted, in this order, or none. One alone stands for itself."""


class BatchRequest(Request):
    """Groups that do not depend on each other. The same keys in other groups are another request."""

    groups: Annotated[tuple[Group, ...], Field(min_length=1, max_length=MAX_ENTRIES)]

    @field_validator("groups")
    @classmethod
    def _bounded(cls, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        entries = [entry for group in groups for entry in group]
        if len(entries) > MAX_ENTRIES:
            raise ValueError(f"a request has at most {MAX_ENTRIES} entries")
        if sum(len(entry.postings) for entry in entries) > MAX_LEGS:
            raise ValueError(f"a request has at most {MAX_LEGS} postings")
        key, times = Counter(entry.idempotency_key for entry in entries).most_common(1)[0]
        if times > 1:
            raise ValueError(f"the idempotency key {key[:40]} is there {times} times")
        return groups


class EntryProblem(Wire):
    """Why an entry was not posted: what the problem+json of a single post would say.

    `replayed` tells that it was decided before. Whether it is worth another try, the status tells, as over
    HTTP: 409, 429 and 503 are."""

    type: Text
    title: Text
    status: int
    detail: str
    field: str | None = None


class EntryResult(Wire):
    """What became of one entry: `entry` when it is posted, else `problem`."""

    idempotency_key: IdempotencyKey
    status: int
    replayed: bool
    entry: EntryView | None = None
    problem: EntryProblem | None = None


class BatchView(Wire):
    """The results, group by group, in the order of the request."""

    groups: tuple[tuple[EntryResult, ...], ...]


class ReversalRequest(Request):
    """A wish to post the mirror of an entry, under the same reference."""

    metadata: Metadata = Field(default_factory=dict)
    effective_at: Moment | None = None
