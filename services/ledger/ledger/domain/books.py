"""The part of a ledger's state that a batch needs, in memory while the batch is decided.

`Books` is loaded under the head's lock, moved forward by `decide`, and thrown away after the write.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypeVar
from uuid import UUID

from ledger.domain.chart import AccountClass, Chart
from ledger.domain.commands import Leg
from ledger.domain.standings import Standing

AccountKey = tuple[str, str]
"""A path and a currency."""

StakeKey = tuple[str, str]
"""An entry's reference (its market) and a player."""

ShareKey = tuple[str, str]
"""A market's reference and a player, or the path of an account that is nobody's."""


class Account(NamedTuple):
    """An account and its state after `sequence` postings. `balance` is signed, debit positive. One that the chart knows
    and nobody has opened has an `id` below zero: it can be decided upon, and is opened before it is posted on."""

    id: int
    path: str
    currency: str
    cls: AccountClass
    owner: str | None
    balance: Decimal
    sequence: int
    closed: bool = False
    limited: bool = False
    """Whether its owner has a policy of responsible gaming."""

    def after(self, balance: Decimal) -> Account:
        """The account one posting later. Written out: `_replace` costs three times as much."""
        id, path, currency, cls, owner, _, sequence, closed, limited = self
        return Account(id, path, currency, cls, owner, balance, sequence + 1, closed, limited)


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside on `account`. What is released of it goes back to `origin`, the account it was taken
    from (None when it was several). `player` is whom it was taken from, when `account` is nobody's."""

    account_id: int
    reference: str
    remaining: Decimal
    player: str | None = None
    account: str = ""
    origin: str | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Original:
    """An entry of the journal that somebody wants reversed."""

    kind: str
    reference: str
    legs: tuple[Leg, ...]
    reversed: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    purpose: str
    account: str
    amount: Decimal
    currency: str
    rail: str
    spent: bool
    ready: bool = True
    """False while the receipt it was attested again from has not been booked."""


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
    recovered: Decimal = Decimal(0)
    """What a later version has taken back so far; it pays once that is its whole total."""

    @property
    def closed(self) -> bool:
        return len(self.seen) == self.chunks


@dataclass(frozen=True, slots=True)
class Stake:
    contributed: Decimal
    returned: Decimal


@dataclass(slots=True)
class Books:
    """State by key. A missing account, hold, receipt, settlement, stake or original does not exist."""

    chart: Chart
    permitted: Mapping[str, frozenset[str]]
    accounts: MutableMapping[AccountKey, Account] = field(default_factory=dict)
    holds: MutableMapping[UUID, Hold] = field(default_factory=dict)
    receipts: MutableMapping[UUID, Receipt] = field(default_factory=dict)
    settlements: MutableMapping[str, Settlement] = field(default_factory=dict)
    stakes: MutableMapping[StakeKey, Stake] = field(default_factory=dict)
    escrowed: MutableMapping[str, Decimal] = field(default_factory=dict)
    """What all players together contributed to each market, by reference."""
    shares: MutableMapping[ShareKey, Decimal] = field(default_factory=dict)
    """What settling a market has brought each so far, less what was taken back; read where something is to be."""
    originals: MutableMapping[UUID, Original] = field(default_factory=dict)
    standings: MutableMapping[str, Standing] = field(default_factory=dict)
    """Where players with a policy stand; empty where nobody has read them."""
    closed_until: datetime | None = None
    """The end of the newest closed day; known when a command says when it takes effect."""

    def trial(self) -> Books:
        """Books that read these and write beside them: `adopt` them, or forget them."""
        return Books(
            self.chart,
            self.permitted,
            ChainMap({}, self.accounts),
            ChainMap({}, self.holds),
            ChainMap({}, self.receipts),
            ChainMap({}, self.settlements),
            ChainMap({}, self.stakes),
            ChainMap({}, self.escrowed),
            ChainMap({}, self.shares),
            ChainMap({}, self.originals),
            ChainMap({}, self.standings),
            self.closed_until,
        )

    def unopened(self) -> set[AccountKey]:
        """The accounts that nobody has opened."""
        return {key for key, account in self.accounts.items() if account.id < 0}

    def adopt(self, trial: Books) -> None:
        """Take over what `trial`, which came from these books, has written."""
        self.accounts.update(_written(trial.accounts))
        self.holds.update(_written(trial.holds))
        self.receipts.update(_written(trial.receipts))
        self.settlements.update(_written(trial.settlements))
        self.stakes.update(_written(trial.stakes))
        self.escrowed.update(_written(trial.escrowed))
        self.shares.update(_written(trial.shares))
        self.originals.update(_written(trial.originals))
        self.standings.update(_written(trial.standings))


Key = TypeVar("Key")
Value = TypeVar("Value")


def _written(beside: MutableMapping[Key, Value]) -> MutableMapping[Key, Value]:
    return beside.maps[0] if isinstance(beside, ChainMap) else beside
