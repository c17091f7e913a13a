"""What was closed: periods, their trial balances, their proofs, their accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from aiohttp import web
from common.errors import Invalid
from common.http import Route, read_query, reply
from common.http.cursors import read_cursor, write_cursor
from common.wire import Body, View

from ledger.api.parts import READER
from ledger.api.queries import Cursor, Limit
from ledger.domain import refusals
from ledger.domain.amounts import written
from ledger.domain.closes import Close, ClosedBalance, Period, Proof, Total
from ledger.keys import HOLDER


class ClosesQuery(Body):
    period: Period = "day"
    after: Cursor | None = None
    limit: Limit = 100


class ClosedAccountsQuery(Body):
    after: Cursor | None = None
    limit: Limit = 100


class CloseView(View):
    """A closed period. `entries` ends at `sequence`; `late` of them take effect before the period began."""

    period: Period
    starts_on: date
    ends_at: datetime
    sequence: int
    entries: int
    late: int
    closed_at: datetime


class ClosesView(View):
    """One page of closed periods, newest first. `next` goes into `after`; null: there are no older ones."""

    closes: tuple[CloseView, ...]
    next: str | None


class TotalView(View):
    """One class in one currency: `opening` and `closing` are debit less credit; turnover; balances by side."""

    account_class: str
    currency: str
    opening: str
    debit: str
    credit: str
    closing: str
    debit_balance: str
    credit_balance: str


class ProofView(View):
    """Segregated funds in one currency: `covered` when `money` is at least `owed`."""

    currency: str
    money: str
    owed: str
    covered: bool


class WholeCloseView(View):
    """A closed period with its trial balance and its segregated-funds proof."""

    close: CloseView
    totals: tuple[TotalView, ...]
    proofs: tuple[ProofView, ...]


class ClosedAccountView(View):
    """An account's turnover in the period and its balance at the end of it, positive on its normal side."""

    account: str
    currency: str
    debit: str
    credit: str
    balance: str
    account_sequence: int


class ClosedAccountsView(View):
    """One page of a close's accounts. An account that is not among them had no balance and no postings."""

    accounts: tuple[ClosedAccountView, ...]
    next: str | None


async def list_closes(request: web.Request) -> web.Response:
    """Closed days or months, newest first."""
    wanted = read_query(request, ClosesQuery)
    before = _cursor_day(str(read_cursor(wanted.after, "closes", str)[0])) if wanted.after else None
    found = await request.app[READER].closes(request[HOLDER].ledger, wanted.period, before, wanted.limit + 1)
    shown = found[: wanted.limit]
    more = len(found) > wanted.limit
    return reply(
        ClosesView(
            closes=tuple(_close(each) for each in shown),
            next=write_cursor("closes", shown[-1].starts_on.isoformat()) if more else None,
        )
    )


async def get_close(request: web.Request) -> web.Response:
    """A closed period, its trial balance and its segregated-funds proof."""
    period, starts_on = _named(request)
    close, totals, proofs = await request.app[READER].close(request[HOLDER].ledger, period, starts_on)
    return reply(
        WholeCloseView(
            close=_close(close), totals=tuple(map(_total, totals)), proofs=tuple(map(_proof, proofs))
        )
    )


async def list_closed_accounts(request: web.Request) -> web.Response:
    """The accounts of a closed period, a page at a time."""
    period, starts_on = _named(request)
    wanted = read_query(request, ClosedAccountsQuery)
    after = int(read_cursor(wanted.after, "closed.accounts", int)[0]) if wanted.after else 0
    found, last = await request.app[READER].closed_balances(
        request[HOLDER].ledger, period, starts_on, after, wanted.limit
    )
    return reply(_accounts(found, last, wanted.limit))


def _named(request: web.Request) -> tuple[Period, date]:
    """The period in the path. Raises NoSuchClose for anything that is none."""
    match request.match_info["period"]:
        case "day":
            period: Period = "day"
        case "month":
            period = "month"
        case _:
            raise refusals.NoSuchClose("a period is a day or a month", field="period")
    return period, _day(request.match_info["starts_on"])


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise refusals.NoSuchClose("a day is written YYYY-MM-DD", field="starts_on") from None


def _cursor_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid("take the cursor from the page before", field="after") from None


def _close(close: Close) -> CloseView:
    return CloseView(
        period=close.period,
        starts_on=close.starts_on,
        ends_at=close.ends_at,
        sequence=close.sequence,
        entries=close.entries,
        late=close.late,
        closed_at=close.closed_at,
    )


def _total(total: Total) -> TotalView:
    return TotalView(
        account_class=total.cls,
        currency=total.currency,
        opening=written(total.opening, total.exponent),
        debit=written(total.debit, total.exponent),
        credit=written(total.credit, total.exponent),
        closing=written(total.closing, total.exponent),
        debit_balance=written(total.debit_balance, total.exponent),
        credit_balance=written(total.credit_balance, total.exponent),
    )


def _proof(proof: Proof) -> ProofView:
    return ProofView(
        currency=proof.currency,
        money=written(proof.money, proof.exponent),
        owed=written(proof.owed, proof.exponent),
        covered=proof.covered,
    )


def _accounts(found: Sequence[ClosedBalance], last: int, limit: int) -> ClosedAccountsView:
    return ClosedAccountsView(
        accounts=tuple(
            ClosedAccountView(
                account=each.account,
                currency=each.currency,
                debit=written(each.debit, each.exponent),
                credit=written(each.credit, each.exponent),
                balance=written(each.balance, each.exponent),
                account_sequence=each.account_sequence,
            )
            for each in found
        ),
        next=write_cursor("closed.accounts", last) if len(found) == limit else None,
    )


ROUTES = (
    Route("GET", "/v1/closes", list_closes, query=ClosesQuery, returns=ClosesView, auth="key"),
    Route("GET", "/v1/closes/{period}/{starts_on}", get_close, returns=WholeCloseView, auth="key",
          refusals=(refusals.NoSuchClose,)),
    Route("GET", "/v1/closes/{period}/{starts_on}/accounts", list_closed_accounts, query=ClosedAccountsQuery,
          returns=ClosedAccountsView, auth="key", refusals=(refusals.NoSuchClose,)),
)  # fmt: skip
