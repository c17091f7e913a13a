"""Posting: one entry a request."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, Route, read, reply
from common.telemetry.traces import traceparent
from contracts.ledger import EntryRequest, EntryView

from ledger import wire
from ledger.api.parts import CHARTS, LEDGER
from ledger.domain import refusals
from ledger.keys import HOLDER


async def post_entry(request: web.Request) -> web.Response:
    """Post an entry: whole, once, in the ledger's total order."""
    holder = request[HOLDER]
    wanted = await read(request, EntryRequest)
    holder.require_kind(wanted.kind)
    key = request[IDEMPOTENCY_KEY]
    entry, replayed = await request.app[LEDGER].post(
        wire.command(holder.ledger, holder.principal, key, wanted, traceparent(), now=datetime.now(UTC))
    )
    told = wire.entry_json(entry, request.app[CHARTS][holder.ledger])
    return reply(told, status=201, headers={"Idempotent-Replayed": "true"} if replayed else None)


POST_REFUSALS = (
    *refusals.STORED.values(),
    refusals.KeyReused,
    refusals.HoldNotReady,
    refusals.ReceiptNotReady,
    refusals.EscrowNotReady,
    refusals.EntryNotReady,
    refusals.MomentOutOfRange,
    refusals.ReadOnlyKey,
    refusals.ScopeMissing,
    refusals.Overloaded,
    refusals.Draining,
)

ROUTES = (
    Route("POST", "/v1/entries", post_entry, body=EntryRequest, returns=EntryView, status=201, auth="key",
          idempotent=True, refusals=POST_REFUSALS),
)  # fmt: skip
