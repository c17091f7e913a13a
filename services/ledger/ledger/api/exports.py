"""Statements and entries as files, streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web
from common.http import Route, read_query
from common.http.streaming import stream

from ledger.api import queries
from ledger.api.parts import CHARTS, EXPORTING
from ledger.domain import refusals
from ledger.keys import HOLDER
from ledger.replica import ReplicaBehind
from ledger.service.exporting import CONTENT_TYPES, Part, TooManyExports


async def export_statement(request: web.Request) -> web.StreamResponse:
    """An account's whole statement as CSV or JSON lines, oldest first.

    Ends at the sequence the ledger had when the export began, or at `at` or `sequence`. The last JSON line is
    `{"end": <lines>, "sequence": <sequence>}`; a transfer that breaks off has none, and no end of its chunks.
    """
    wanted = read_query(request, queries.StatementExportQuery)
    parts = request.app[EXPORTING].statement(
        request[HOLDER].ledger,
        wanted.account,
        wanted.currency,
        wanted.format,
        as_of=wanted.as_of,
        since=wanted.posted_from,
    )
    return await stream(
        request,
        _texts(parts),
        content_type=CONTENT_TYPES[wanted.format],
        filename=f"statement.{wanted.format}",
    )


async def export_entries(request: web.Request) -> web.StreamResponse:
    """Every entry that fits the filters, as CSV (a row for each posting) or JSON lines (a line for each entry).

    Ends at the sequence the ledger had when the export began. The last JSON line is
    `{"end": <entries>, "sequence": <sequence>}`; a transfer that breaks off has none, and no end of its chunks.
    """
    ledger = request[HOLDER].ledger
    wanted = read_query(request, queries.EntriesExportQuery)
    parts = request.app[EXPORTING].entries(ledger, request.app[CHARTS][ledger], wanted.filter, wanted.format)
    return await stream(
        request,
        _texts(parts),
        content_type=CONTENT_TYPES[wanted.format],
        filename=f"entries.{wanted.format}",
    )


async def _texts(parts: AsyncGenerator[Part, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(parts):
        async for part in parts:
            yield part.text


_FILES = tuple(CONTENT_TYPES.values())

ROUTES = (
    Route("GET", "/v1/statement/export", export_statement, query=queries.StatementExportQuery, files=_FILES, auth="key",
          refusals=(refusals.NoSuchAccount, TooManyExports, ReplicaBehind)),
    Route("GET", "/v1/entries/export", export_entries, query=queries.EntriesExportQuery, files=_FILES, auth="key",
          refusals=(refusals.NoSuchAccount, refusals.NoSuchReference, refusals.NoSuchMetadata, refusals.UnknownKind,
                    TooManyExports, ReplicaBehind)),
)  # fmt: skip
