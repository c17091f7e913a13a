"""Reading the books by API key. The key fixes the ledger: another ledger's object is not found."""

from __future__ import annotations

from aiohttp import web
from common.http import Route, read_query, reply
from common.http.cursors import cursor_moment, read_cursor

from ledger.api import queries, views
from ledger.api.parts import CHARTS, FINDING, READER, path_id
from ledger.domain import refusals
from ledger.keys import HOLDER
from ledger.replica import ReplicaBehind
from ledger.service.finding import EntryFilter, Place


async def get_entry(request: web.Request) -> web.Response:
    """An entry by its id."""
    ledger = request[HOLDER].ledger
    entry = await request.app[READER].entry(ledger, path_id(request, refusals.NoSuchEntry))
    return reply(views.journal_entry_view(entry, request.app[CHARTS][ledger]))


async def list_entries(request: web.Request) -> web.Response:
    """Entries in the ledger's order, a page at a time, all or those that fit a filter.

    A range of effective times is shown in the order of those times.
    """
    ledger = request[HOLDER].ledger
    wanted = read_query(request, queries.EntriesQuery)
    chart = request.app[CHARTS][ledger]
    fitting = wanted.filter
    told = await request.app[FINDING].entries(
        ledger,
        chart,
        fitting,
        after=read_place(wanted.after, fitting),
        limit=wanted.limit,
        newest_first=wanted.order == "newest",
    )
    return reply(views.entries_view(told.what, chart), headers=views.provenance(told.source))


def read_place(cursor: str | None, fitting: EntryFilter) -> Place | None:
    """Where a page of entries ended. Raises Invalid for a cursor of another order."""
    if cursor is None:
        return None
    if not fitting.by_effect:
        (sequence,) = read_cursor(cursor, "entries", int)
        return Place(int(sequence))
    effective_at, sequence = read_cursor(cursor, "entries.effective", str, int)
    return Place(int(sequence), cursor_moment(str(effective_at)))


async def list_accounts(request: web.Request) -> web.Response:
    """Accounts by path with their balances, now or as of a moment, a page at a time."""
    wanted = read_query(request, queries.AccountsQuery)
    path, currency = read_cursor(wanted.after, "accounts", str, str) if wanted.after else ("", "")
    rows = await request.app[READER].balances(
        request[HOLDER].ledger, wanted.prefix, (str(path), str(currency)), wanted.limit + 1, wanted.as_of
    )
    return reply(views.balances_view(rows, wanted.limit))


async def get_balance(request: web.Request) -> web.Response:
    """An account's balance, now or as of a moment.

    `sequence` in the answer tells how many postings of the account it shows. It may come from a cache, at most two
    seconds old: whoever must see a posting asks for its account sequence as `min_sequence`.
    """
    wanted = read_query(request, queries.BalanceQuery)
    row, source = await request.app[READER].balance(
        request[HOLDER].ledger,
        wanted.account,
        wanted.currency,
        wanted.as_of,
        min_sequence=wanted.min_sequence,
    )
    return reply(views.balance_view(row), headers={"Ledger-Source": source})


async def get_statement(request: web.Request) -> web.Response:
    """An account's postings with the balance after each."""
    wanted = read_query(request, queries.StatementQuery)
    told = await request.app[READER].statement(
        request[HOLDER].ledger,
        wanted.account,
        wanted.currency,
        after=read_line(wanted.after),
        limit=wanted.limit,
        newest_first=wanted.order == "newest",
        as_of=wanted.as_of,
        since=wanted.posted_from,
    )
    return reply(views.statement_view(told.what), headers=views.provenance(told.source))


def read_line(cursor: str | None) -> int | None:
    """Where a page of a statement ended. Raises Invalid."""
    if cursor is None:
        return None
    (line,) = read_cursor(cursor, "statement", int)
    return int(line)


async def get_trial_balance(request: web.Request) -> web.Response:
    """All balances by class, now or as of a moment, and whether they add up to zero."""
    wanted = read_query(request, queries.TrialBalanceQuery)
    told = await request.app[READER].trial_balance(request[HOLDER].ledger, wanted.as_of)
    return reply(views.trial_balance_view(told.what), headers=views.provenance(told.source))


ROUTES = (
    Route("GET", "/v1/entries", list_entries, query=queries.EntriesQuery, returns=views.EntriesView, auth="key",
          refusals=(refusals.NoSuchAccount, refusals.NoSuchReference, refusals.NoSuchMetadata, refusals.UnknownKind)),
    Route("GET", "/v1/entries/{id}", get_entry, returns=views.JournalEntryView, auth="key",
          refusals=(refusals.NoSuchEntry,)),
    Route("GET", "/v1/accounts", list_accounts, query=queries.AccountsQuery, returns=views.BalancesView, auth="key",
          refusals=(refusals.NoSuchAccount,)),
    Route("GET", "/v1/balance", get_balance, query=queries.BalanceQuery, returns=views.BalanceView, auth="key",
          refusals=(refusals.NoSuchAccount, refusals.SequenceNotReached)),
    Route("GET", "/v1/statement", get_statement, query=queries.StatementQuery, returns=views.StatementView, auth="key",
          refusals=(refusals.NoSuchAccount,)),
    Route("GET", "/v1/trial-balance", get_trial_balance, query=queries.TrialBalanceQuery,
          returns=views.TrialBalanceView, auth="key", refusals=(ReplicaBehind,)),
)  # fmt: skip
