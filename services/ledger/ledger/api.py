"""The ledger over HTTP: posting and reading by API key, a player's own wallet by internal token."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web
from common.errors import NotFound
from common.http import IDEMPOTENCY_KEY, PRINCIPAL, Principal, Role, Route, read, read_query, reply
from common.telemetry.traces import traceparent
from contracts.ledger import EntryRequest, EntryView

from ledger import wire
from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.keys import HOLDER
from ledger.service import Ledger

LEDGER = web.AppKey("ledger", Ledger)
CHARTS = web.AppKey("charts", dict[int, Chart])

EL_CARRIL = 1
"""The ledger that players' tokens read."""

WALLET = ("available", "held", "withdrawing")


async def post_entry(request: web.Request) -> web.Response:
    """Post an entry: whole, once, in the ledger's total order."""
    holder = request[HOLDER]
    if holder.read_only:
        raise refusals.ReadOnlyKey("this key may only read")
    wanted = await read(request, EntryRequest)
    key = request[IDEMPOTENCY_KEY]
    entry, replayed = await request.app[LEDGER].post(
        wire.command(holder.ledger, holder.principal, key, wanted, traceparent())
    )
    view = wire.entry_view(entry, request.app[CHARTS][holder.ledger])
    return reply(view, status=201, headers={"Idempotent-Replayed": "true"} if replayed else None)


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
    wanted = read_query(request, wire.BalanceQuery)
    row = await request.app[LEDGER].balance(holder.ledger, wanted.account, wanted.currency)
    return reply(wire.balance_view(row))


async def list_accounts(request: web.Request) -> web.Response:
    """Accounts by path, with their balances, a page at a time."""
    holder = request[HOLDER]
    wanted = read_query(request, wire.BalancesQuery)
    rows = await request.app[LEDGER].balances(holder.ledger, wanted.prefix, wanted.after, wanted.limit)
    last = rows[-1] if len(rows) == wanted.limit else None
    return reply(
        wire.BalancesView(
            accounts=tuple(wire.balance_view(row) for row in rows),
            next=f"{last.account}|{last.currency}" if last else None,
        )
    )


async def get_statement(request: web.Request) -> web.Response:
    """An account's postings with the balance after each, oldest first."""
    holder = request[HOLDER]
    wanted = read_query(request, wire.StatementQuery)
    return await _statement(
        request, holder.ledger, wanted.account, wanted.currency, wanted.after, wanted.limit
    )


async def _statement(
    request: web.Request, ledger: int, account: str, currency: str, after: int, limit: int
) -> web.Response:
    rows = await request.app[LEDGER].statement(ledger, account, currency, after, limit)
    return reply(wire.statement_view(account, currency, rows, limit))


async def get_trial_balance(request: web.Request) -> web.Response:
    """All balances by class, whether they add up to zero, and any account that drifted from its postings."""
    holder = request[HOLDER]
    sequence, rows = await request.app[LEDGER].trial_balance(holder.ledger)
    drifted = await request.app[LEDGER].drift(holder.ledger)
    return reply(wire.trial_balance_view(sequence, rows, drifted))


async def get_wallet(request: web.Request) -> web.Response:
    """The player's own balances."""
    player: Principal = request[PRINCIPAL]
    rows = await request.app[LEDGER].balances(EL_CARRIL, f"players/{player.subject}/", "", 100)
    return reply(wire.BalancesView(accounts=tuple(wire.balance_view(row) for row in rows), next=None))


async def get_wallet_statement(request: web.Request) -> web.Response:
    """The player's own postings on one of their accounts, oldest first."""
    player: Principal = request[PRINCIPAL]
    wanted = read_query(request, wire.WalletStatementQuery)
    account = f"players/{player.subject}/{wanted.account}"
    return await _statement(request, EL_CARRIL, account, wanted.currency, wanted.after, wanted.limit)


POST_REFUSALS = (
    *refusals.STORED.values(),
    refusals.KeyReused,
    refusals.HoldNotReady,
    refusals.ReceiptNotReady,
    refusals.EscrowNotReady,
    refusals.ReadOnlyKey,
    refusals.Overloaded,
    refusals.Draining,
)

ROUTES = (
    Route("POST", "/v1/entries", post_entry, body=EntryRequest, returns=EntryView, status=201, auth="key",
          idempotent=True, refusals=POST_REFUSALS),
    Route("GET", "/v1/entries/{id}", get_entry, returns=EntryView, auth="key", refusals=(refusals.NoSuchEntry,)),
    Route("GET", "/v1/accounts", list_accounts, query=wire.BalancesQuery, returns=wire.BalancesView, auth="key"),
    Route("GET", "/v1/balance", get_balance, query=wire.BalanceQuery, returns=wire.BalanceView, auth="key",
          refusals=(refusals.NoSuchAccount,)),
    Route("GET", "/v1/statement", get_statement, query=wire.StatementQuery, returns=wire.StatementView, auth="key",
          refusals=(refusals.NoSuchAccount,)),
    Route("GET", "/v1/trial-balance", get_trial_balance, returns=wire.TrialBalanceView, auth="key"),
    Route("GET", "/v1/wallet", get_wallet, returns=wire.BalancesView, role=Role.BETTOR),
    Route("GET", "/v1/wallet/statement", get_wallet_statement, query=wire.WalletStatementQuery,
          returns=wire.StatementView, role=Role.BETTOR, refusals=(refusals.NoSuchAccount, NotFound)),
)  # fmt: skip
