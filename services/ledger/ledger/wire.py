"""Between the wire and the domain: requests become commands, entries become views.

Amounts are positive decimal strings with a side on the wire, signed `Decimal`s (debit positive) inside.
"""

from __future__ import annotations

from decimal import Decimal

from common.http import Rendered
from contracts.ledger import EntryRequest, EntryView, PostedLeg
from contracts.ledger import Side as SideName
from pydantic_core import to_json

from ledger.domain.chart import Chart, Side
from ledger.domain.commands import Command, Leg, SettlementPart
from ledger.store.outcomes import PostedEntry

_SIGNS = {"debit": Side.DEBIT, "credit": Side.CREDIT}


def command(
    ledger: int, principal: str, key: str, wanted: EntryRequest, traceparent: str | None = None
) -> Command:
    """The command a request asks for. Whether it makes sense is for the engine to decide."""
    part = wanted.settlement
    return Command(
        ledger,
        principal,
        key,
        wanted.kind,
        tuple(
            Leg(line.account, line.currency, Decimal(line.amount) * _SIGNS[line.side], line.hold)
            for line in wanted.postings
        ),
        wanted.reference,
        wanted.metadata,
        wanted.receipt,
        SettlementPart(part.market, part.version, Decimal(part.total), part.chunk, part.chunks)
        if part
        else None,
        wanted.effective_at,
        traceparent,
    )


def entry_view(entry: PostedEntry, chart: Chart) -> EntryView:
    """The answer to a post. Built without validation: every value comes out of the journal."""
    return EntryView.model_construct(
        id=entry.id,
        sequence=entry.sequence,
        kind=entry.kind,
        posted_at=entry.posted_at,
        reference=entry.reference,
        postings=tuple(
            PostedLeg.model_construct(
                account=leg.account,
                side=SideName.DEBIT if leg.amount > 0 else SideName.CREDIT,
                amount=written(abs(leg.amount), chart.exponents[leg.currency]),
                currency=leg.currency,
                balance=written(leg.balance * leg.side, chart.exponents[leg.currency]),
                account_sequence=leg.account_sequence,
                hold=leg.hold,
            )
            for leg in entry.legs
        ),
    )


def entry_json(entry: PostedEntry, chart: Chart) -> Rendered:
    """The same view, written out: making its models would take longer than deciding the entry."""
    return Rendered(
        to_json(
            {
                "id": entry.id,
                "sequence": entry.sequence,
                "kind": entry.kind,
                "posted_at": entry.posted_at,
                "reference": entry.reference,
                "postings": [
                    {
                        "account": leg.account,
                        "side": "debit" if leg.amount > 0 else "credit",
                        "amount": written(abs(leg.amount), chart.exponents[leg.currency]),
                        "currency": leg.currency,
                        "balance": written(leg.balance * leg.side, chart.exponents[leg.currency]),
                        "account_sequence": leg.account_sequence,
                        "hold": leg.hold,
                    }
                    for leg in entry.legs
                ],
            }
        )
    )


def written(amount: Decimal, exponent: int) -> str:
    """An amount with exactly its currency's decimals, and no negative zero."""
    return f"{amount or abs(amount):.{exponent}f}"
