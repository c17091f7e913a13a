"""Periods that are closed: their names, and what a close says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

Period = Literal["day", "month"]


@dataclass(frozen=True, slots=True)
class Due:
    """The period to close next. It is over from `ends_at` on."""

    period: Period
    starts_on: date
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Close:
    """A closed period: its last entry, how many it has, and how many of them took effect before it began."""

    period: Period
    starts_on: date
    ends_at: datetime
    sequence: int
    entries: int
    late: int
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class Total:
    """One class of accounts in one currency. `opening` and `closing` are signed, debit positive."""

    cls: str
    currency: str
    exponent: int
    opening: Decimal
    debit: Decimal
    credit: Decimal
    debit_balance: Decimal
    credit_balance: Decimal

    @property
    def closing(self) -> Decimal:
        return self.debit_balance - self.credit_balance


@dataclass(frozen=True, slots=True)
class Proof:
    """Segregated funds in one currency: the money at banks and payment providers covers all that is owed."""

    currency: str
    exponent: int
    money: Decimal
    owed: Decimal
    covered: bool


@dataclass(frozen=True, slots=True)
class ClosedBalance:
    """An account in a close: turnover, and the balance at its end, positive on the account's side."""

    account: str
    currency: str
    exponent: int
    debit: Decimal
    credit: Decimal
    balance: Decimal
    account_sequence: int
