"""The part of a ledger's state that a batch needs, in memory while the batch is decided.

`Books` is loaded under the head's lock, moved forward by `decide`, and thrown away after the write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from ledger.domain.chart import AccountClass, Chart

AccountKey = tuple[str, str]
"""A path and a currency."""

StakeKey = tuple[str, str]
"""An entry's reference (its market) and a player."""


@dataclass(frozen=True, slots=True)
class Account:
    """An open account and its state after `sequence` postings. `balance` is signed, debit positive."""

    id: int
    path: str
    currency: str
    cls: AccountClass
    owner: str | None
    balance: Decimal
    sequence: int


@dataclass(frozen=True, slots=True)
class Hold:
    account_id: int
    reference: str
    remaining: Decimal


@dataclass(frozen=True, slots=True)
class Receipt:
    purpose: str
    account: str
    amount: Decimal
    currency: str
    rail: str
    spent: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """The newest settlement of a market."""

    version: int
    total: Decimal
    paid: Decimal
    chunks: int
    escrow_id: int
    seen: frozenset[int]
    """The chunks posted so far."""

    @property
    def closed(self) -> bool:
        return len(self.seen) == self.chunks


@dataclass(frozen=True, slots=True)
class Stake:
    contributed: Decimal
    returned: Decimal


@dataclass(slots=True)
class Books:
    """State by key. A missing account, hold, receipt, settlement or stake does not exist."""

    chart: Chart
    permitted: Mapping[str, frozenset[str]]
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    receipts: dict[UUID, Receipt] = field(default_factory=dict)
    settlements: dict[str, Settlement] = field(default_factory=dict)
    stakes: dict[StakeKey, Stake] = field(default_factory=dict)
    escrowed: dict[str, Decimal] = field(default_factory=dict)
    """What all players together contributed to each market, by reference."""
