"""What may be done to an account itself. Closing is for ever, and only when nothing is left on it, held of it or staked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ledger.domain import refusals
from ledger.domain.amounts import written

CLOSE = "account.close"
DESCRIBE = "account.describe"
"""The kinds that let a principal close accounts and note things about them. No entry has them."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """An account as it is. `balance` is positive on the side where it normally grows; `held` is what open
    holds keep of its money, on other accounts. `sequence` counts its postings."""

    id: int
    account: str
    currency: str
    exponent: int
    cls: str
    side: int
    floored: bool
    balance: Decimal
    sequence: int
    held: Decimal
    opened_at: datetime
    closed_at: datetime | None
    metadata: Mapping[str, str]


def check_closing(account: AccountState, permitted: frozenset[str], *, staked_in: str | None) -> None:
    """Whether a principal that may do what is `permitted` may close the account now, or did before. `staked_in` is a
    market that has yet to pay what became of its owner's stake.

    Raises:
        MayNotClose, AccountNotEmpty.
    """
    if CLOSE not in permitted:
        raise refusals.MayNotClose("this principal may not close accounts")
    if account.closed_at is not None:
        return
    if account.balance:
        raise refusals.AccountNotEmpty(
            f"{account.account} still has {written(account.balance, account.exponent)} {account.currency}",
            field="account",
        )
    if account.held:
        raise refusals.AccountNotEmpty(
            f"{written(account.held, account.exponent)} {account.currency} of {account.account} is held",
            field="account",
        )
    if staked_in is not None:
        raise refusals.AccountNotEmpty(
            f"a stake of {account.account} in {staked_in} is not settled", field="account"
        )


def check_describing(permitted: frozenset[str]) -> None:
    """Raises MayNotDescribe unless a principal that may do what is `permitted` may note things about accounts."""
    if DESCRIBE not in permitted:
        raise refusals.MayNotDescribe("this principal may not describe accounts")
