"""What callers ask the ledger to do: a command, which becomes one entry or one refusal, for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple
from uuid import UUID, uuid5

ENTRY_IDS = UUID("6a2f6d0e-5a0f-5bd0-9b0a-3c1f6f2f3a10")
LINK_IDS = UUID("0b7b3c52-6c5e-5b0c-8d5b-8f0f6a1c9e21")


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


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
        """SHA-256 over the parsed values, so that "1.5" and "1.50" are the same request."""
        settlement = self.settlement
        parts: list[object] = [
            self.kind,
            self.reference,
            str(self.receipt or ""),
            self.effective_at.isoformat() if self.effective_at else "",
            [[leg.account, leg.currency, canonical(leg.amount), str(leg.hold or "")] for leg in self.legs],
            sorted(self.metadata.items()),
            [
                str(settlement.market),
                settlement.version,
                canonical(settlement.total),
                settlement.chunk,
                settlement.chunks,
            ]
            if settlement
            else None,
        ]
        if not self.plain:  # apart, so that the digests of all others stay what they were
            ends = self.expires_at.isoformat() if self.expires_at else ""
            parts.append([str(self.reverses or ""), str(self.drains or ""), ends, str(self.link or "")])
        return hashlib.sha256(_compact(parts).encode()).digest()


Group = tuple[Command, ...]
"""Commands of one ledger that are posted together, in this order, or not at all. Most are of one."""

MAX_LINKED = 100
"""Commands in one group: a group is decided and written as a whole, so it must fit into a batch."""


def entry_id(ledger: int, principal: str, key: str) -> UUID:
    """The id of the entry that this principal's key becomes, if it ever becomes one."""
    return uuid5(ENTRY_IDS, f"{ledger}\x1f{principal}\x1f{key}")


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
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
