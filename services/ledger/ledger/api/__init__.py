"""The ledger over HTTP: posting and reading by API key, a player's own wallet by internal token.

One file per group of routes; each has its ROUTES.
"""

from dataclasses import replace

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
from ledger.domain.refusals import LedgerNotServed
from ledger.keys import REFUSALS

_ROUTES = (
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

ROUTES = tuple(
    replace(route, refusals=(*route.refusals, *REFUSALS, LedgerNotServed)) if route.auth == "key" else route
    for route in _ROUTES
)
"""Every route. Wherever a key asks, its ledger may be newer than the process."""

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
