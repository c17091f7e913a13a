"""What the reading routes are asked and what they show. Amounts are decimal strings, positive on the
account's normal side; sides are words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from common.wire import Body, CurrencyText, View
from pydantic import Field

from ledger.domain.chart import Side
from ledger.store.queries import BalanceRow, StatementRow, TrialBalanceRow
from ledger.wire import written


class BalanceView(View):
    """An account's balance after `sequence` postings, positive on its normal side."""

    account: str
    currency: str
    balance: str
    sequence: int


class BalancesView(View):
    """One page of accounts by path. `next` goes into `after` for the page behind it."""

    accounts: tuple[BalanceView, ...]
    next: str | None


class StatementLineView(View):
    """One posting on the account, with the balance after it."""

    account_sequence: int
    entry: UUID
    sequence: int
    kind: str
    reference: str
    side: Literal["debit", "credit"]
    amount: str
    balance: str
    posted_at: datetime


class StatementView(View):
    """One page of an account's postings, oldest first. `next` goes into `after`."""

    account: str
    currency: str
    lines: tuple[StatementLineView, ...]
    next: int | None


class TrialBalanceLineView(View):
    """The accounts of one class in one currency."""

    account_class: str
    currency: str
    debit: str
    credit: str


class TrialBalanceView(View):
    """All balances of the ledger at `sequence`. `balanced` tells that debits equal credits in every
    currency; `drifted` names accounts whose balance is not the sum of their postings."""

    sequence: int
    balanced: bool
    lines: tuple[TrialBalanceLineView, ...]
    drifted: tuple[str, ...]


class BalanceQuery(Body):
    account: str = Field(min_length=1, max_length=200)
    currency: CurrencyText = "MXN"


class BalancesQuery(Body):
    prefix: str = Field(default="", max_length=200)
    after: str = Field(default="", max_length=210)
    limit: int = Field(default=100, ge=1, le=500)


class StatementQuery(Body):
    account: str = Field(min_length=1, max_length=200)
    currency: CurrencyText = "MXN"
    after: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=500)


class WalletStatementQuery(Body):
    account: Literal["available", "held", "withdrawing"] = "available"
    currency: CurrencyText = "MXN"
    after: int = Field(default=0, ge=0)
    limit: int = Field(default=100, ge=1, le=500)


def balance_view(row: BalanceRow) -> BalanceView:
    return BalanceView(
        account=row.account,
        currency=row.currency,
        balance=written(row.amount, row.exponent),
        sequence=row.sequence,
    )


def statement_view(account: str, currency: str, rows: Sequence[StatementRow], limit: int) -> StatementView:
    return StatementView(
        account=account,
        currency=currency,
        lines=tuple(
            StatementLineView(
                account_sequence=row.account_sequence,
                entry=row.entry_id,
                sequence=row.sequence,
                kind=row.kind,
                reference=row.reference,
                side=Side(row.side).word,
                amount=written(row.amount, row.exponent),
                balance=written(row.balance, row.exponent),
                posted_at=row.posted_at,
            )
            for row in rows
        ),
        next=rows[-1].account_sequence if len(rows) == limit else None,
    )


def trial_balance_view(
    sequence: int, rows: Sequence[TrialBalanceRow], drifted: Sequence[str]
) -> TrialBalanceView:
    rests: dict[str, Decimal] = {}
    for row in rows:
        rests[row.currency] = rests.get(row.currency, Decimal(0)) + row.debit - row.credit
    return TrialBalanceView(
        sequence=sequence,
        balanced=not any(rests.values()),
        lines=tuple(
            TrialBalanceLineView(
                account_class=row.cls,
                currency=row.currency,
                debit=written(row.debit, row.exponent),
                credit=written(row.credit, row.exponent),
            )
            for row in rows
        ),
        drifted=tuple(drifted),
    )
