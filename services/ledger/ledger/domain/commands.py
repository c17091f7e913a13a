"""What callers ask the ledger to do: a command, which becomes one entry or one refusal, for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from json.encoder import encode_basestring
from typing import NamedTuple
from uuid import UUID, uuid5

ENTRY_IDS = UUID("6a2f6d0e-5a0f-5bd0-9b0a-3c1f6f2f3a10")
LINK_IDS = UUID("0b7b3c52-6c5e-5b0c-8d5b-8f0f6a1c9e21")


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted = encode_basestring
"""A string as `_compact` writes it."""


class Leg(NamedTuple):
    """One leg of an entry. `amount` is signed: a debit is positive, a credit negative."""

    account: str
    currency: str
    amount: Decimal
    hold: UUID | None = None


@dataclass(frozen=True, slots=True)
class SettlementPart:
    """Which chunk of which version of a market's settlement an entry is.

    `total` is the whole escrow to be paid out by all `chunks` together.
    """

    market: UUID
    version: int
    total: Decimal
    chunk: int
    chunks: int


@dataclass(frozen=True)
class Command:
    """A wish to post one entry.

    The principal and its idempotency key are the command's identity: `id` is derived from them, so
    the same key can never become two entries, and two principals cannot collide.

    reverses    the entry whose mirror this is to be: then it has no legs of its own
    drains      the hold of which everything that remains goes back where it came from: the same
    expires_at  when the hold that it opens ends of itself
    overdue     whether that had passed when the command came: no part of the wish, but it is refused as a new one
    link, links the group that it is posted with, all or none, and how many they are (see `linked`)
    """

    ledger: int
    principal: str
    key: str
    kind: str
    legs: tuple[Leg, ...]
    reference: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    receipt: UUID | None = None
    settlement: SettlementPart | None = None
    effective_at: datetime | None = None
    traceparent: str | None = None
    reverses: UUID | None = None
    drains: UUID | None = None
    expires_at: datetime | None = None
    link: UUID | None = None
    links: int | None = None
    overdue: bool = False

    @cached_property
    def id(self) -> UUID:
        return entry_id(self.ledger, self.principal, self.key)

    @property
    def plain(self) -> bool:
        """Whether its own legs say all that it needs: it stands alone, mirrors nothing, drains nothing,
        opens no hold that ends of itself and takes effect when it is posted."""
        return (
            self.link is None
            and self.reverses is None
            and self.drains is None
            and self.expires_at is None
            and self.effective_at is None
        )

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over the parsed values, so that "1.5" and "1.50" are the same request.

        They are written as compact JSON: a list of kind, reference, receipt, moment of effect, legs, metadata,
        settlement and, for whatever is not plain, what sets it apart.
        """
        settlement, effective_at = self.settlement, self.effective_at
        legs = ",".join(
            [
                f'[{_quoted(leg.account)},{_quoted(leg.currency)},"{canonical(leg.amount)}","{leg.hold or ""}"]'
                for leg in self.legs
            ]
        )
        settled = "null"
        if settlement:
            total = canonical(settlement.total)
            settled = f'["{settlement.market}",{settlement.version},"{total}",{settlement.chunk},{settlement.chunks}]'
        apart = ""
        if not self.plain:  # apart, so that the digests of all others stay what they were
            ends = self.expires_at.isoformat() if self.expires_at else ""
            apart = f',["{self.reverses or ""}","{self.drains or ""}","{ends}","{self.link or ""}"]'
        written = (
            f'[{_quoted(self.kind)},{_quoted(self.reference)},"{self.receipt or ""}",'
            f'"{effective_at.isoformat() if effective_at else ""}",[{legs}],'
            f"{_compact(sorted(self.metadata.items())) if self.metadata else '[]'},{settled}{apart}]"
        )
        return hashlib.sha256(written.encode()).digest()


Group = tuple[Command, ...]
"""Commands of one ledger that are posted together, in this order, or not at all. Most are of one."""

MAX_LINKED = 100
"""Commands in one group: a group is decided and written as a whole, so it must fit into a batch."""


def entry_id(ledger: int, principal: str, key: str) -> UUID:
    """The id of the entry that this principal's key becomes, if it ever becomes one."""
    digest = _ENTRY_IDS.copy()  # what `uuid5` does, at half its price
    digest.update(f"{ledger}\x1f{principal}\x1f{key}".encode())
    return UUID(int=int.from_bytes(digest.digest()[:16], "big") & _NOT_VERSIONED | _VERSION_5)


_ENTRY_IDS = hashlib.sha1(ENTRY_IDS.bytes, usedforsecurity=False)
_NOT_VERSIONED = ~(0xF000 << 64 | 0xC000 << 48) & (1 << 128) - 1
_VERSION_5 = 0x5000 << 64 | 0x8000 << 48


def linked(commands: Sequence[Command]) -> Group:
    """The group of `commands`. Its link is made of what they all ask for, so a key that comes back in
    another group, or with another neighbour changed, is another request."""
    if len(commands) == 1:
        return (commands[0],)
    digest = hashlib.sha256()
    for command in commands:
        digest.update(command.id.bytes)
        digest.update(command.fingerprint)
    link = uuid5(LINK_IDS, digest.hexdigest())
    return tuple(replace(command, link=link, links=len(commands)) for command in commands)


def canonical(amount: Decimal) -> str:
    """The amount without trailing zeros or exponent: equal amounts, equal text."""
    text = str(amount)
    if "E" in text:
        text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
