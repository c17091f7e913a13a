"""Charts of accounts: which accounts may exist and which kinds of entry may move money between them.

The chart itself is data in the database, changed only by migration; this is its shape in memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Literal

from ledger.domain.amounts import written


class Side(IntEnum):
    """The sign of an amount: money is signed, a debit is positive."""

    DEBIT = 1
    CREDIT = -1

    @property
    def word(self) -> Literal["debit", "credit"]:
        return "debit" if self is Side.DEBIT else "credit"


@dataclass(frozen=True, slots=True)
class AccountClass:
    """A class of accounts: the paths that belong to it, and how its balances may move.

    side            where the balance normally grows
    floored         the balance never crosses zero against its side
    owner_kind      what the pattern's first group names: a player, a market, an account that owns
                    itself (and what is held of it), nothing
    requires_hold   every posting on it opens or draws a hold
    address         the path of the account that holds an owner's money; `{owner}` stands for the owner
    """

    name: str
    pattern: re.Pattern[str]
    side: Side
    floored: bool
    owner_kind: Literal["player", "market", "account"] | None
    requires_hold: bool
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entry and its template. See the `kind` table for what each field asks for."""

    name: str
    receipt: bool
    players: int | None
    hold: Literal["open", "draw"] | None
    stake: bool
    settlement: Literal["settle", "void", "recover"] | None
    template: frozenset[tuple[Side, str]]
    receipt_debits: tuple[str, ...] = ()
    """What may be debited for the receipt; `{rail}` stands for the receipt's rail."""
    reversible: bool = False
    mirror: bool = False
    draws: Literal["capture", "release", "expire"] | None = None
    expiring: bool = False
    counts: Literal["deposit", "stake", "payout"] | None = None
    capped: Literal["refuse", "wait"] | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """One ledger's chart: its classes, its kinds and the exponents of the currencies it keeps."""

    name: str
    classes: tuple[AccountClass, ...]
    kinds: Mapping[str, Kind]
    exponents: Mapping[str, int]

    def money(self, amount: Decimal, currency: str) -> str:
        """How a text names an amount: `400.00 MXN`. Never rounded: what is finer than its currency, or of one that is not
        kept here, is named to its last digit."""
        decimals = -int(amount.as_tuple().exponent)
        return f"{written(amount, max(decimals, self.exponents.get(currency, 0)))} {currency}"

    @property
    def expiry(self) -> str | None:
        """The kind by which a hold that is due goes back, if holds of this chart may expire."""
        return next((kind.name for kind in self.kinds.values() if kind.draws == "expire"), None)

    @property
    def mirror(self) -> str | None:
        """The kind of a reversal."""
        return next((kind.name for kind in self.kinds.values() if kind.mirror), None)

    def holding_account(self, kind: str, path: str) -> str | None:
        """Where a hold of that kind puts the money of the account at `path`; None when it holds none of it."""
        opening, known = self.kinds.get(kind), self.classify(path)
        if opening is None or opening.hold != "open" or known is None or known[1] is None:
            return None
        for held in self.classes:
            if held.address and (Side.CREDIT, held.name) in opening.template:
                return held.address.replace("{owner}", known[1])
        return None

    def kept_for(self, path: str) -> tuple[str, ...]:
        """Where holds of the account at `path` are kept."""
        known = self.classify(path)
        owner = known[1] if known else None
        if owner is None:
            return ()
        return tuple(held.address.replace("{owner}", owner) for held in self.classes if held.address)

    def classify(self, path: str) -> tuple[AccountClass, str | None] | None:
        """The class of `path` and its owner, or None when the chart knows no such account."""
        for known in self.classes:
            found = known.pattern.fullmatch(path)
            if found:
                return known, found.group(1) if known.owner_kind else None
        return None
