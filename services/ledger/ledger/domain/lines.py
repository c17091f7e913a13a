"""Legs with the accounts they name."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from ledger.domain import refusals
from ledger.domain.books import Account, Books
from ledger.domain.commands import Leg


class Line(NamedTuple):
    """A leg with the account it names."""

    account: Account
    amount: Decimal
    hold: UUID | None
    field: str


def lines_of(legs: Sequence[Leg], books: Books) -> list[Line]:
    """The legs with their accounts, in order.

    Raises:
        WrongCurrency: a currency that is not kept, or an amount that is zero or finer than its currency.
        UnknownAccount, AccountClosed.
    """
    lines = []
    for at, leg in enumerate(legs):
        exponent = books.chart.exponents.get(leg.currency)
        if exponent is None:
            raise refusals.WrongCurrency(f"{leg.currency} is not kept here", field=f"postings.{at}.currency")
        if not leg.amount or leg.amount.as_tuple().exponent < -exponent:  # type: ignore[operator] # finite
            raise refusals.WrongCurrency(
                f"an amount in {leg.currency} has at most {exponent} decimals and is not zero",
                field=f"postings.{at}.amount",
            )
        account = books.accounts.get((leg.account, leg.currency))
        if account is None:
            raise refusals.UnknownAccount(f"no account {leg.account}", field=f"postings.{at}.account")
        if account.closed:
            raise refusals.AccountClosed(f"{leg.account} is closed", field=f"postings.{at}.account")
        lines.append(Line(account, leg.amount, leg.hold, f"postings.{at}"))
    return lines
