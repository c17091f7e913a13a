"""What the handlers find in the application."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web
from common.errors import NotFound

from ledger.domain.chart import Chart
from ledger.sealing import Seals
from ledger.service import AccountKeeping, Correcting, Exporting, Finding, Holding, Ledger, Limiting, Reading

ACCOUNTS = web.AppKey("accounts", AccountKeeping)
CORRECTING = web.AppKey("correcting", Correcting)
HOLDING = web.AppKey("holding", Holding)
LEDGER = web.AppKey("ledger", Ledger)
READER = web.AppKey("reader", Reading)
FINDING = web.AppKey("finding", Finding)
EXPORTING = web.AppKey("exporting", Exporting)
CHARTS = web.AppKey("charts", dict[int, Chart])
LIMITS = web.AppKey("limits", Limiting)
SEALS = web.AppKey("seals", Seals)


def path_id(request: web.Request, missing: type[NotFound]) -> UUID:
    """The id in the path. What is no UUID names nothing: raises `missing`."""
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise missing("an id is a UUID", field="id") from None
