"""What callers ask the ledger to do: a command, which becomes one entry or one refusal, for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from uuid import UUID, uuid5

ENTRY_IDS = UUID("6a2f6d0e-5a0f-5bd0-9b0a-3c1f6f2f3a10")


@dataclass(frozen=True, slots=True)
class Leg:
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

    @cached_property
    def id(self) -> UUID:
        return uuid5(ENTRY_IDS, f"{self.ledger}\x1f{self.principal}\x1f{self.key}")

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 over the parsed values, so that "1.5" and "1.50" are the same request."""
        settlement = self.settlement
        parts = [
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
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).digest()


def canonical(amount: Decimal) -> str:
    """The amount without trailing zeros or exponent: equal amounts, equal text."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
