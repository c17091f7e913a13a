"""The ledger over HTTP: posting and reading by API key, a player's own wallet by internal token.

One file per group of routes; each has its ROUTES.
"""

from ledger.api import accounts, batch, closes, exports, holds, limits, lists, posting, reading, seals, wallet
from ledger.api.parts import (
    ACCOUNTS,
    CHARTS,
    CORRECTING,
    EXPORTING,
    FINDING,
    HOLDING,
    LEDGER,
    LIMITS,
    READER,
    SEALS,
)

ROUTES = (
    *posting.ROUTES,
    *batch.ROUTES,
    *holds.ROUTES,
    *accounts.ROUTES,
    *reading.ROUTES,
    *closes.ROUTES,
    *exports.ROUTES,
    *limits.ROUTES,
    *lists.ROUTES,
    *wallet.ROUTES,
    *seals.ROUTES,
)

__all__ = [
    "ACCOUNTS",
    "CHARTS",
    "CORRECTING",
    "EXPORTING",
    "FINDING",
    "HOLDING",
    "LEDGER",
    "LIMITS",
    "READER",
    "ROUTES",
    "SEALS",
]
