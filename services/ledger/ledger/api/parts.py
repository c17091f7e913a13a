"""What the handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from ledger.domain.chart import Chart
from ledger.service import Ledger

LEDGER = web.AppKey("ledger", Ledger)
CHARTS = web.AppKey("charts", dict[int, Chart])
