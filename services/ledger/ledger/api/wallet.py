"""A player's own balances and postings, by internal token."""

from __future__ import annotations

from aiohttp import web
from common.errors import NotFound
from common.http import PRINCIPAL, Principal, Role, Route, read_query, reply

from ledger.api import queries, views
from ledger.api.parts import READER
from ledger.api.reading import read_line
from ledger.domain import refusals

EL_CARRIL = 1
"""The ledger that players' tokens read."""


async def get_wallet(request: web.Request) -> web.Response:
    """The player's own balances."""
    player: Principal = request[PRINCIPAL]
    rows = await request.app[READER].wallet(EL_CARRIL, f"players/{player.subject}/")
    return reply(views.balances_view(rows, len(rows)))


async def get_wallet_statement(request: web.Request) -> web.Response:
    """The player's own postings on one of their accounts."""
    player: Principal = request[PRINCIPAL]
    wanted = read_query(request, queries.WalletStatementQuery)
    told = await request.app[READER].statement(
        EL_CARRIL,
        f"players/{player.subject}/{wanted.account}",
        wanted.currency,
        after=read_line(wanted.after),
        limit=wanted.limit,
        newest_first=wanted.order == "newest",
    )
    return reply(views.statement_view(told.what), headers=views.provenance(told.source))


ROUTES = (
    Route("GET", "/v1/wallet", get_wallet, returns=views.BalancesView, role=Role.BETTOR),
    Route("GET", "/v1/wallet/statement", get_wallet_statement, query=queries.WalletStatementQuery,
          returns=views.StatementView, role=Role.BETTOR, refusals=(refusals.NoSuchAccount, NotFound)),
)  # fmt: skip
