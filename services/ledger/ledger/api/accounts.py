"""One account: what it is, what its tenant notes about it, and its end."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web
from common.http import Route, read, read_query, reply
from common.wire import Body, CurrencyText, View
from contracts.ledger import Metadata
from contracts.wire import AccountPath, Currency, Request
from pydantic import Field

from ledger.api.parts import ACCOUNTS
from ledger.domain import refusals
from ledger.domain.amounts import written
from ledger.domain.chart import Side
from ledger.domain.closing import CLOSE, DESCRIBE, AccountState
from ledger.keys import HOLDER


class AccountQuery(Body):
    account: str = Field(min_length=1, max_length=200)
    currency: CurrencyText = "MXN"


class ClosingRequest(Request):
    """A wish to close an account for ever."""

    account: AccountPath
    currency: Currency


class DescriptionRequest(Request):
    """What to note about an account, in place of what was noted before."""

    account: AccountPath
    currency: Currency
    metadata: Metadata


class AccountView(View):
    """An account. `balance` is positive on `side` and, if `floored`, never less than zero; `held` is what open
    holds keep of its money, which the balance does not count; `sequence` counts its postings."""

    account: str
    currency: str
    account_class: str
    side: str
    floored: bool
    balance: str
    held: str
    sequence: int
    opened_at: datetime
    closed_at: datetime | None
    metadata: dict[str, str]


async def get_account(request: web.Request) -> web.Response:
    """An account with its balance, what is held of it, and what was noted about it."""
    wanted = read_query(request, AccountQuery)
    found = await request.app[ACCOUNTS].account(request[HOLDER].ledger, wanted.account, wanted.currency)
    return reply(_view(found))


async def close_account(request: web.Request) -> web.Response:
    """Close an account for ever: it takes no posting any more.

    Only at zero and with nothing held of it. The account itself is the idempotency key: closing it again
    answers the same.
    """
    holder = request[HOLDER]
    holder.require_kind(CLOSE)
    wanted = await read(request, ClosingRequest)
    closed = await request.app[ACCOUNTS].close(
        holder.ledger, holder.principal, wanted.account, wanted.currency
    )
    return reply(_view(closed))


async def describe_account(request: web.Request) -> web.Response:
    """Note something about an account, in place of what was noted before. No rule reads it."""
    holder = request[HOLDER]
    holder.require_kind(DESCRIBE)
    wanted = await read(request, DescriptionRequest)
    noted = await request.app[ACCOUNTS].describe(
        holder.ledger, holder.principal, wanted.account, wanted.currency, wanted.metadata
    )
    return reply(_view(noted))


def _view(account: AccountState) -> AccountView:
    return AccountView(
        account=account.account,
        currency=account.currency,
        account_class=account.cls,
        side=Side(account.side).word,
        floored=account.floored,
        balance=written(account.balance, account.exponent),
        held=written(account.held, account.exponent),
        sequence=account.sequence,
        opened_at=account.opened_at,
        closed_at=account.closed_at,
        metadata=dict(account.metadata),
    )


ROUTES = (
    Route("GET", "/v1/account", get_account, query=AccountQuery, returns=AccountView, auth="key",
          refusals=(refusals.NoSuchAccount,)),
    Route("POST", "/v1/account/closing", close_account, body=ClosingRequest, returns=AccountView, auth="key",
          refusals=(refusals.NoSuchAccount, refusals.AccountNotEmpty, refusals.MayNotClose, refusals.ReadOnlyKey,
                    refusals.ScopeMissing)),
    Route("PUT", "/v1/account/metadata", describe_account, body=DescriptionRequest, returns=AccountView, auth="key",
          refusals=(refusals.NoSuchAccount, refusals.MayNotDescribe, refusals.ReadOnlyKey, refusals.ScopeMissing)),
)  # fmt: skip
