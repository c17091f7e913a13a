"""Between the wire and the domain: requests become commands, entries become views.

Amounts are positive decimal strings with a side on the wire, signed `Decimal`s (debit positive) inside.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from uuid import UUID

from common.http import Rendered
from contracts.ledger import EntryRequest, EntryView, PostedLeg
from contracts.ledger import Side as SideName
from contracts.ledger_batches import KeyedEntry
from pydantic_core import to_json

from ledger.domain import refusals
from ledger.domain.amounts import written
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Leg, SettlementPart
from ledger.store.outcomes import PostedEntry
from ledger.store.outcomes import PostedLeg as StoredLeg

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
"""How far ahead of our clock a caller's may be when it says that an entry takes effect now."""

LONGEST_HOLD = timedelta(days=366)


def command(
    ledger: int,
    principal: str,
    key: str,
    wanted: EntryRequest | KeyedEntry,
    traceparent: str | None = None,
    *,
    now: datetime,
    at: str = "",
) -> Command:
    """The command a request asks for. Whether it makes sense is for the engine to decide; only moments are
    looked at here, since deciding knows no clock. `at` is the path of `wanted` in the request.

    Raises:
        MomentOutOfRange: it would take effect before 2000 or in the future, or hold for more than a year.
    """
    part = wanted.settlement
    check_moments(wanted.effective_at, wanted.expires_at, now, at)
    return Command(
        ledger,
        principal,
        key,
        wanted.kind,
        tuple(
            Leg(
                line.account,
                line.currency,
                Decimal(line.amount if line.side == "debit" else f"-{line.amount}"),
                line.hold,
            )
            for line in wanted.postings
        ),
        wanted.reference,
        wanted.metadata,
        wanted.receipt,
        SettlementPart(part.market, part.version, Decimal(part.total), part.chunk, part.chunks)
        if part
        else None,
        utc(wanted.effective_at),
        traceparent,
        wanted.reverses if isinstance(wanted, KeyedEntry) else None,
        wanted.drains if isinstance(wanted, KeyedEntry) else None,
        utc(wanted.expires_at),
        overdue=is_overdue(wanted.expires_at, now),
    )


def utc(moment: datetime | None) -> datetime | None:
    """As the journal gives it back: the first answer and every repetition are the same, letter by letter."""
    return moment and moment.astimezone(UTC)


def is_overdue(expires_at: datetime | None, now: datetime) -> bool:
    """Whether a hold would end before it began. The engine refuses it only as a new one: what was posted in time has
    its first answer for ever."""
    return expires_at is not None and expires_at <= now


def check_moments(
    effective_at: datetime | None, expires_at: datetime | None, now: datetime, at: str = ""
) -> None:
    """Moments that pass once pass for ever, so that a request can be repeated: no bound moves towards them.

    Raises:
        MomentOutOfRange: see `command`.
    """
    if effective_at is not None and not EARLIEST <= effective_at <= now + AHEAD:
        raise refusals.MomentOutOfRange(
            "an entry takes effect between the year 2000 and now", field=f"{at}effective_at"
        )
    if expires_at is not None and not EARLIEST <= expires_at <= now + LONGEST_HOLD:
        raise refusals.MomentOutOfRange("a hold lasts at most 366 days", field=f"{at}expires_at")


def entry_view(entry: PostedEntry, chart: Chart) -> EntryView:
    """The answer to a post. Built without validation: every value comes out of the journal."""
    return EntryView.model_construct(
        id=entry.id,
        sequence=entry.sequence,
        kind=entry.kind,
        posted_at=entry.posted_at,
        effective_at=entry.effective_at,
        reference=entry.reference,
        metadata=entry.metadata,
        reverses=entry.reverses,
        link=entry.link,
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
    return Rendered(entry_text(entry, chart).encode())


def entry_text(entry: PostedEntry, chart: Chart) -> str:
    """The same, to be put into other JSON."""
    reverses, link = entry.reverses, entry.link
    return (
        f'{{"id":"{entry.id}","sequence":{entry.sequence},"kind":{quoted(entry.kind)},'
        f'"posted_at":{_moment(entry.posted_at)},"effective_at":{_moment(entry.effective_at)},'
        f'"reference":{quoted(entry.reference)},'
        f'"metadata":{to_json(entry.metadata).decode() if entry.metadata else "{}"},'
        f'"reverses":{_named(reverses)},"link":{_named(link)},'
        f'"postings":[{",".join([_leg_text(leg, chart.exponents[leg.currency]) for leg in entry.legs])}]}}'
    )


def _leg_text(leg: StoredLeg, exponent: int) -> str:
    amount = leg.amount
    return (
        f'{{"account":{quoted(leg.account)},"side":"{"debit" if amount > 0 else "credit"}",'
        f'"amount":"{written(abs(amount), exponent)}","currency":"{leg.currency}",'
        f'"balance":"{written(leg.balance if leg.side > 0 else -leg.balance, exponent)}",'
        f'"account_sequence":{leg.account_sequence},"hold":{_named(leg.hold)}}}'
    )


quoted = encode_basestring
"""A string as JSON."""


def _named(id: UUID | None) -> str:
    return "null" if id is None else f'"{id}"'


@lru_cache(maxsize=64)
def _moment(moment: datetime) -> str:
    """A whole batch is posted at one moment, so most of them have just been written."""
    return to_json(moment).decode()
