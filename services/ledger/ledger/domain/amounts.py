"""Amounts as everybody is told them: with exactly their currency's decimals."""

from __future__ import annotations

from decimal import Decimal

LARGEST = Decimal(10**18)
"""Every amount and balance is below it: the database's `money_amount` holds no more."""


def written(amount: Decimal, exponent: int) -> str:
    """An amount with exactly its currency's decimals, and no negative zero."""
    if not amount:
        amount = abs(amount)
    text = str(amount)
    if exponent and text[-exponent - 1 : -exponent] == "." and "E" not in text:
        return text  # it has them already, as most have; formatting takes four times as long
    return f"{amount:.{exponent}f}"
