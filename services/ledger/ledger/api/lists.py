"""Holds and refusals, a page at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.errors import Invalid
from common.http import Route, read_query, reply
from common.http.cursors import cursor_moment, read_cursor, write_cursor
from common.wire import Body, CurrencyText, View
from pydantic import Field

from ledger.api.parts import CHARTS, READER
from ledger.api.queries import Cursor, Limit, Order, PathText
from ledger.domain import refusals
from ledger.domain.amounts import written
from ledger.keys import HOLDER
from ledger.store.lists import LAST_ID, HoldRow, RefusalRow

FIRST_ID = UUID(int=0)
BEGINNING, END = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


class HoldsQuery(Body):
    """All of them, those of one account, or those of one reference."""

    account: PathText | None = None
    currency: CurrencyText = "MXN"
    reference: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    after: Cursor | None = None
    limit: Limit = 100


class RefusalsQuery(Body):
    order: Order = "newest"
    after: Cursor | None = None
    limit: Limit = 100


class ListedHoldView(View):
    """A hold: `opened` is `remaining`, `captured` and `released` together."""

    id: UUID
    account: str
    currency: str
    reference: str
    opened: str
    remaining: str
    captured: str
    released: str
    expires_at: datetime | None
    expired: bool


class HoldsView(View):
    """One page of holds, by id. `next` goes into `after`; null: there are no more."""

    holds: tuple[ListedHoldView, ...]
    next: str | None


class RefusalView(View):
    """A command that was refused, for ever: `slug` as in the problem it was answered with."""

    id: UUID
    kind: str
    principal: str
    idempotency_key: str
    reference: str
    slug: str
    detail: str
    refused_at: datetime


class RefusalsView(View):
    """One page of refusals in the order they were given. `next` goes into `after`; null: there are no more."""

    refusals: tuple[RefusalView, ...]
    next: str | None


async def list_holds(request: web.Request) -> web.Response:
    """Holds, open and ended: all, those on an account, or those of a reference."""
    ledger = request[HOLDER].ledger
    wanted = read_query(request, HoldsQuery)
    after = _id(str(read_cursor(wanted.after, "holds", str)[0])) if wanted.after else FIRST_ID
    if wanted.account is not None and wanted.reference is not None:
        raise Invalid("of an account or of a reference: take one", field="reference")
    reader, limit = request.app[READER], wanted.limit + 1
    if wanted.account is not None:
        chart = request.app[CHARTS][ledger]
        found = await reader.holds_on(ledger, chart, wanted.account, wanted.currency, after, limit)
    elif wanted.reference is not None:
        found = await reader.holds_of(ledger, wanted.reference, after, limit)
    else:
        found = await reader.holds(ledger, after, limit)
    shown = found[: wanted.limit]
    more = len(found) > wanted.limit
    return reply(
        HoldsView(
            holds=tuple(map(_hold, shown)), next=write_cursor("holds", str(shown[-1].id)) if more else None
        )
    )


async def list_refusals(request: web.Request) -> web.Response:
    """Commands that were refused, newest first unless told."""
    wanted = read_query(request, RefusalsQuery)
    newest_first = wanted.order == "newest"
    place = (END, LAST_ID) if newest_first else (BEGINNING, FIRST_ID)
    if wanted.after:
        moment, id = read_cursor(wanted.after, "refusals", str, str)
        place = cursor_moment(str(moment)), _id(str(id))
    found = await request.app[READER].refusals(
        request[HOLDER].ledger, place, wanted.limit + 1, newest_first=newest_first
    )
    shown = found[: wanted.limit]
    last = shown[-1] if len(found) > wanted.limit else None
    return reply(
        RefusalsView(
            refusals=tuple(map(_refusal, shown)),
            next=write_cursor("refusals", last.refused_at.isoformat(), str(last.id)) if last else None,
        )
    )


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Invalid("take the cursor from the page before", field="after") from error


def _hold(row: HoldRow) -> ListedHoldView:
    return ListedHoldView(
        id=row.id,
        account=row.account,
        currency=row.currency,
        reference=row.reference,
        opened=written(row.opened, row.exponent),
        remaining=written(row.remaining, row.exponent),
        captured=written(row.captured, row.exponent),
        released=written(row.released, row.exponent),
        expires_at=row.expires_at,
        expired=row.expired,
    )


def _refusal(row: RefusalRow) -> RefusalView:
    return RefusalView(
        id=row.id,
        kind=row.kind,
        principal=row.principal,
        idempotency_key=row.key,
        reference=row.reference,
        slug=row.slug,
        detail=row.detail,
        refused_at=row.refused_at,
    )


ROUTES = (
    Route("GET", "/v1/holds", list_holds, query=HoldsQuery, returns=HoldsView, auth="key",
          refusals=(refusals.NoSuchAccount, refusals.NoSuchReference)),
    Route("GET", "/v1/refusals", list_refusals, query=RefusalsQuery, returns=RefusalsView, auth="key"),
)  # fmt: skip
