"""What an attestation must say before the ledger believes it."""

from __future__ import annotations

import re

from ledger.domain import refusals

PURPOSES = {
    "deposit": re.compile(r"players/[0-9a-f-]{36}/available"),
    "deposit.suspense": re.compile(r"suspense/[a-z0-9-]{1,32}"),
    "suspense.assign": re.compile(r"players/[0-9a-f-]{36}/available"),
    "suspense.return": re.compile(r"bank/[a-z0-9-]{1,32}"),
    "withdrawal.returned": re.compile(r"players/[0-9a-f-]{36}/withdrawing"),
    "card.capture": re.compile(r"players/[0-9a-f-]{36}/uncleared"),
    "card.settle": re.compile(r"psp/[a-z0-9-]{1,32}/receivable"),
    "refund.returned": re.compile(r"players/[0-9a-f-]{36}/(?:available|uncleared)"),
    "house.fund": re.compile(r"house/(?:capital|reserve)"),
}
"""The kinds a receipt may pay for, and the accounts each may credit."""


def check_purpose(purpose: str, account: str) -> None:
    """Refuse a receipt that no entry could spend.

    Raises:
        ReceiptMismatch: an unknown purpose, or an account it cannot credit.
    """
    pattern = PURPOSES.get(purpose)
    if pattern is None:
        raise refusals.ReceiptMismatch(f"{purpose} needs no receipt", field="purpose")
    if not pattern.fullmatch(account):
        raise refusals.ReceiptMismatch(f"{purpose} does not credit {account}", field="account")
