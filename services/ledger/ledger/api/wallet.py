"""A player's own balances and postings, by internal token."""

from __future__ import annotations

from aiohttp import web
from common.errors import NotFound
from common.http import PRINCIPAL, Principal, Role, Route, read_query, reply

from ledger.api import views
from ledger.api.parts import LEDGER
from ledger.api.reading import statement_page
from ledger.domain import refusals

EL_CARRIL = 1
"""The ledger that players' tokens read."""


async def get_wallet(request: web.Request) -> web.Response:
    """The player's own balances."""
    player: Principal = request[PRINCIPAL]
    rows = await request.app[LEDGER].balances(EL_CARRIL, f"players/{player.subject}/", "", 100)
    return reply(views.BalancesView(accounts=tuple(views.balance_view(row) for row in rows), next=None))


async def get_wallet_statement(request: web.Request) -> web.Response:
    """The player's own postings on one of their accounts, oldest first."""
    player: Principal = request[PRINCIPAL]
    wanted = read_query(request, views.WalletStatementQuery)
    account = f"players/{player.subject}/{wanted.account}"
    return await statement_page(request, EL_CARRIL, account, wanted.currency, wanted.after, wanted.limit)


ROUTES = (
    Route("GET", "/v1/wallet", get_wallet, returns=views.BalancesView, role=Role.BETTOR),
    Route("GET", "/v1/wallet/statement", get_wallet_statement, query=views.WalletStatementQuery,
          returns=views.StatementView, role=Role.BETTOR, refusals=(refusals.NoSuchAccount, NotFound)),
)  # fmt: skip
