"""The ledger over HTTP: posting and reading by API key, a player's own wallet by internal token.

One file per group of routes; each has its ROUTES.
"""

from ledger.api import closes, exports, posting, reading, seals, wallet
from ledger.api.parts import CHARTS, EXPORTING, FINDING, LEDGER, READER, SEALS

ROUTES = (
    *posting.ROUTES,
    *reading.ROUTES,
    *closes.ROUTES,
    *exports.ROUTES,
    *wallet.ROUTES,
    *seals.ROUTES,
)

__all__ = ["CHARTS", "EXPORTING", "FINDING", "LEDGER", "READER", "ROUTES", "SEALS"]
