"""Holds: money of an account set aside, captured in parts, released. What expires, expires by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, Route, read, reply
from common.telemetry.traces import traceparent
from contracts.holds import CaptureRequest, HoldRequest, HoldView, ReleaseRequest
from contracts.ledger import EntryView

from ledger import wire
from ledger.api.parts import CHARTS, HOLDING, path_id
from ledger.api.posting import POST_REFUSALS
from ledger.domain import refusals
from ledger.domain.amounts import written
from ledger.domain.holding import Caller, HoldState, Opening
from ledger.engine import PostedEntry
from ledger.keys import HOLDER


async def open_hold(request: web.Request) -> web.Response:
    """Set money of an account aside, for what the reference names.

    It is on an account of its own from then on, so the account's balance never counts it. The answer is the
    entry; the hold's id is on its second posting. A hold that is refused does not exist.
    """
    holder = request[HOLDER]
    wanted = await read(request, HoldRequest)
    holder.require_kind(wanted.kind)
    now = datetime.now(UTC)
    wire.check_moments(None, wanted.expires_at, now)
    opening = Opening(
        wanted.kind,
        wanted.account,
        Decimal(wanted.amount),
        wanted.currency,
        wanted.reference,
        wanted.hold,
        wire.utc(wanted.expires_at),
        wire.is_overdue(wanted.expires_at, now),
        wanted.metadata,
    )
    return _posted(request, await request.app[HOLDING].open(_caller(request), opening))


async def capture_hold(request: web.Request) -> web.Response:
    """Move part of a hold, or all of it, to where it was meant for; never more than remains."""
    holder = request[HOLDER]
    id = path_id(request, refusals.NoSuchHold)
    wanted = await read(request, CaptureRequest)
    holder.require_kind(wanted.kind)
    shares = [(share.account, Decimal(share.amount)) for share in wanted.to]
    done = await request.app[HOLDING].capture(_caller(request), id, wanted.kind, shares, wanted.metadata)
    return _posted(request, done)


async def release_hold(request: web.Request) -> web.Response:
    """Give part of a hold back to the account it came from; all that remains, unless an amount is named."""
    holder = request[HOLDER]
    id = path_id(request, refusals.NoSuchHold)
    wanted = await read(request, ReleaseRequest)
    holder.require_kind(wanted.kind)
    amount = None if wanted.amount is None else Decimal(wanted.amount)
    done = await request.app[HOLDING].release(_caller(request), id, wanted.kind, amount, wanted.metadata)
    return _posted(request, done)


async def get_hold(request: web.Request) -> web.Response:
    """A hold as it is now."""
    holder = request[HOLDER]
    hold = await request.app[HOLDING].hold(holder.ledger, path_id(request, refusals.NoSuchHold))
    return reply(_view(hold, request.app[CHARTS][holder.ledger].exponents[hold.currency]))


def _caller(request: web.Request) -> Caller:
    holder = request[HOLDER]
    return Caller(holder.ledger, holder.principal, request[IDEMPOTENCY_KEY], traceparent())


def _posted(request: web.Request, done: tuple[PostedEntry, bool]) -> web.Response:
    entry, replayed = done
    told = wire.entry_json(entry, request.app[CHARTS][request[HOLDER].ledger])
    return reply(told, status=201, headers={"Idempotent-Replayed": "true"} if replayed else None)


def _view(hold: HoldState, exponent: int) -> HoldView:
    return HoldView(
        hold=hold.id,
        account=hold.account,
        origin=hold.origin,
        currency=hold.currency,
        reference=hold.reference,
        opened=written(hold.opened, exponent),
        captured=written(hold.captured, exponent),
        released=written(hold.released, exponent),
        remaining=written(hold.remaining, exponent),
        expired=hold.expired,
        expires_at=hold.expires_at,
    )


ROUTES = (
    Route("POST", "/v1/holds", open_hold, body=HoldRequest, returns=EntryView, status=201, auth="key",
          idempotent=True, refusals=POST_REFUSALS),
    Route("POST", "/v1/holds/{id}/capture", capture_hold, body=CaptureRequest, returns=EntryView, status=201,
          auth="key", idempotent=True, refusals=(*POST_REFUSALS, refusals.NoSuchHold)),
    Route("POST", "/v1/holds/{id}/release", release_hold, body=ReleaseRequest, returns=EntryView, status=201,
          auth="key", idempotent=True, refusals=(*POST_REFUSALS, refusals.NoSuchHold)),
    Route("GET", "/v1/holds/{id}", get_hold, returns=HoldView, auth="key", refusals=(refusals.NoSuchHold,)),
)  # fmt: skip
