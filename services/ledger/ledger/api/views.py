"""What the reading routes show. Amounts are decimal strings, positive on the account's normal side; sides are words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from common.http.cursors import write_cursor
from common.wire import View
from contracts.ledger import EntryView

from ledger import wire
from ledger.domain.amounts import written
from ledger.domain.chart import Chart, Side
from ledger.replica import Source
from ledger.service.finding import Page, Place
from ledger.service.reading import Statement, TrialBalance
from ledger.store.accounts import AccountRow, BalanceRow
from ledger.store.outcomes import PostedEntry
from ledger.store.statements import StatementRow


class BalanceView(View):
    """An account's balance after `sequence` postings, positive on its normal side."""

    account: str
    currency: str
    balance: str
    sequence: int


class BalancesView(View):
    """One page of accounts by path. `next` goes into `after` for the page behind it; null: there is none."""

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
    hold: UUID | None
    posted_at: datetime
    effective_at: datetime


class StatementView(View):
    """One page of an account's postings. `next` goes into `after`; null: no more were posted so far."""

    account: str
    currency: str
    lines: tuple[StatementLineView, ...]
    next: str | None


class JournalEntryView(EntryView):
    """An entry with everything the journal keeps of it."""

    principal: str
    receipt: UUID | None


class EntriesView(View):
    """One page of entries. `next` goes into `after` with the same filters; null: no more were posted so far."""

    entries: tuple[JournalEntryView, ...]
    next: str | None


class TrialBalanceLineView(View):
    """The accounts of one class in one currency."""

    account_class: str
    currency: str
    debit: str
    credit: str


class TrialBalanceView(View):
    """All balances of the ledger at `sequence`. `balanced` tells that debits equal credits in every currency."""

    sequence: int
    balanced: bool
    lines: tuple[TrialBalanceLineView, ...]


def provenance(source: Source) -> dict[str, str]:
    """Where an answer was read: headers."""
    return {"Ledger-Source": source.name, "Ledger-Lag-Seconds": f"{source.lag_seconds:.3f}"}


def balance_view(row: BalanceRow) -> BalanceView:
    return BalanceView(
        account=row.account,
        currency=row.currency,
        balance=written(row.amount, row.exponent),
        sequence=row.sequence,
    )


def balances_view(rows: Sequence[BalanceRow], limit: int) -> BalancesView:
    """A page out of up to one row more than it shows."""
    shown = rows[:limit]
    more = len(rows) > limit
    return BalancesView(
        accounts=tuple(balance_view(row) for row in shown),
        next=write_cursor("accounts", shown[-1].account, shown[-1].currency) if more else None,
    )


def line_view(account: AccountRow, row: StatementRow) -> StatementLineView:
    return StatementLineView(
        account_sequence=row.account_sequence,
        entry=row.entry_id,
        sequence=row.sequence,
        kind=row.kind,
        reference=row.reference,
        side=Side(row.side).word,
        amount=written(row.amount, account.exponent),
        balance=written(row.balance, account.exponent),
        hold=row.hold,
        posted_at=row.posted_at,
        effective_at=row.effective_at,
    )


def statement_view(page: Statement) -> StatementView:
    return StatementView(
        account=page.account.path,
        currency=page.account.currency,
        lines=tuple(line_view(page.account, row) for row in page.lines),
        next=write_cursor("statement", page.lines[-1].account_sequence) if page.more else None,
    )


def journal_entry_view(entry: PostedEntry, chart: Chart) -> JournalEntryView:
    told = wire.entry_view(entry, chart)
    return JournalEntryView.model_construct(
        **{name: getattr(told, name) for name in EntryView.model_fields},
        principal=entry.principal,
        receipt=entry.receipt,
    )


def entries_view(page: Page, chart: Chart) -> EntriesView:
    return EntriesView.model_construct(
        entries=tuple(journal_entry_view(entry, chart) for entry in page.entries),
        next=place_cursor(page.next) if page.next else None,
    )


def place_cursor(place: Place) -> str:
    if place.effective_at is not None:
        return write_cursor("entries.effective", place.effective_at.isoformat(), place.sequence)
    return write_cursor("entries", place.sequence)


def trial_balance_view(trial: TrialBalance) -> TrialBalanceView:
    rests: dict[str, Decimal] = {}
    for row in trial.rows:
        rests[row.currency] = rests.get(row.currency, Decimal(0)) + row.debit - row.credit
    return TrialBalanceView(
        sequence=trial.sequence,
        balanced=not any(rests.values()),
        lines=tuple(
            TrialBalanceLineView(
                account_class=row.cls,
                currency=row.currency,
                debit=written(row.debit, row.exponent),
                credit=written(row.credit, row.exponent),
            )
            for row in trial.rows
        ),
    )
