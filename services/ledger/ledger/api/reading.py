"""Reading the books by API key. The key fixes the ledger: another ledger's object is not found."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web
from common.http import Route, read_query, reply
from contracts.ledger import EntryView

from ledger import wire
from ledger.api import views
from ledger.api.parts import CHARTS, LEDGER
from ledger.domain import refusals
from ledger.keys import HOLDER


async def get_entry(request: web.Request) -> web.Response:
    """An entry by its id."""
    holder = request[HOLDER]
    try:
        id = UUID(request.match_info["id"])
    except ValueError:
        raise refusals.NoSuchEntry("an entry's id is a UUID", field="id") from None
    entry = await request.app[LEDGER].entry(holder.ledger, id)
    return reply(wire.entry_view(entry, request.app[CHARTS][holder.ledger]))


async def get_balance(request: web.Request) -> web.Response:
    """An account's balance."""
    holder = request[HOLDER]
    wanted = read_query(request, views.BalanceQuery)
    row = await request.app[LEDGER].balance(holder.ledger, wanted.account, wanted.currency)
    return reply(views.balance_view(row))


async def list_accounts(request: web.Request) -> web.Response:
    """Accounts by path, with their balances, a page at a time."""
    holder = request[HOLDER]
    wanted = read_query(request, views.BalancesQuery)
    rows = await request.app[LEDGER].balances(holder.ledger, wanted.prefix, wanted.after, wanted.limit)
    last = rows[-1] if len(rows) == wanted.limit else None
    return reply(
        views.BalancesView(
            accounts=tuple(views.balance_view(row) for row in rows),
            next=f"{last.account}|{last.currency}" if last else None,
        )
    )


async def get_statement(request: web.Request) -> web.Response:
    """An account's postings with the balance after each, oldest first."""
    holder = request[HOLDER]
    wanted = read_query(request, views.StatementQuery)
    return await statement_page(
        request, holder.ledger, wanted.account, wanted.currency, wanted.after, wanted.limit
    )


async def statement_page(
    request: web.Request, ledger: int, account: str, currency: str, after: int, limit: int
) -> web.Response:
    rows = await request.app[LEDGER].statement(ledger, account, currency, after, limit)
    return reply(views.statement_view(account, currency, rows, limit))


async def get_trial_balance(request: web.Request) -> web.Response:
    """All balances by class, whether they add up to zero, and any account that drifted from its postings."""
    holder = request[HOLDER]
    sequence, rows = await request.app[LEDGER].trial_balance(holder.ledger)
    drifted = await request.app[LEDGER].drift(holder.ledger)
    return reply(views.trial_balance_view(sequence, rows, drifted))


ROUTES = (
    Route("GET", "/v1/entries/{id}", get_entry, returns=EntryView, auth="key", refusals=(refusals.NoSuchEntry,)),
    Route("GET", "/v1/accounts", list_accounts, query=views.BalancesQuery, returns=views.BalancesView, auth="key"),
    Route("GET", "/v1/balance", get_balance, query=views.BalanceQuery, returns=views.BalanceView, auth="key",
          refusals=(refusals.NoSuchAccount,)),
    Route("GET", "/v1/statement", get_statement, query=views.StatementQuery, returns=views.StatementView, auth="key",
          refusals=(refusals.NoSuchAccount,)),
    Route("GET", "/v1/trial-balance", get_trial_balance, returns=views.TrialBalanceView, auth="key"),
)  # fmt: skip
