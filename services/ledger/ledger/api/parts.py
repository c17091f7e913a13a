"""What the handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from ledger.domain.chart import Chart
from ledger.sealing import Seals
from ledger.service import Exporting, Finding, Ledger, Reading

LEDGER = web.AppKey("ledger", Ledger)
READER = web.AppKey("reader", Reading)
FINDING = web.AppKey("finding", Finding)
EXPORTING = web.AppKey("exporting", Exporting)
CHARTS = web.AppKey("charts", dict[int, Chart])
SEALS = web.AppKey("seals", Seals)
