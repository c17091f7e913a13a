"""Finding entries: by account, path prefix, kind, reference, metadata, effective time; and by posting time with any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from common.errors import Invalid
from common.pg import Connection

from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.replica import Sources
from ledger.service.reading import MOST, TICK, AsOf, Reading, Told
from ledger.store import accounts, finding
from ledger.store.finding import Span
from ledger.store.outcomes import PostedEntry, entries_at

MOST_ACCOUNTS = 50
"""How many accounts a prefix may cover: each costs a page of its own postings."""


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries. At most one of the ways through the journal, and a range of posting times."""

    account: str | None = None
    currency: str | None = None
    prefix: str | None = None
    kind: str | None = None
    reference: str | None = None
    metadata: tuple[str, str] | None = None
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    posted_from: datetime | None = None
    posted_to: datetime | None = None

    @property
    def by_effect(self) -> bool:
        return self.effective_from is not None or self.effective_to is not None

    def ways(self) -> list[str]:
        """The names of the ways that were asked for."""
        given = {
            "account": self.account,
            "prefix": self.prefix,
            "kind": self.kind,
            "reference": self.reference,
            "metadata_key": self.metadata,
            "effective_from" if self.effective_from else "effective_to": self.by_effect or None,
        }
        return [name for name, value in given.items() if value is not None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended. `effective_at` only in the order of effective times."""

    sequence: int
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, and where the next page begins when there is one."""

    entries: Sequence[PostedEntry]
    next: Place | None


class Finding:
    """Pages of entries."""

    def __init__(self, sources: Sources, reading: Reading) -> None:
        self._sources = sources
        self._reading = reading

    async def entries(
        self,
        ledger: int,
        chart: Chart,
        wanted: EntryFilter,
        *,
        after: Place | None,
        limit: int,
        newest_first: bool = False,
        upto: int = MOST,
        heavy: bool = False,
    ) -> Told[Page]:
        """A page of the entries that fit and have a sequence up to `upto`, by sequence; for a range of effective
        times, by effective time and sequence.

        Raises:
            Invalid: filters that do not go together, an empty range, a moment that has not come.
            NoSuchAccount, NoSuchReference, NoSuchMetadata, UnknownKind: there is no such thing to filter by.
        """
        _check(wanted, chart)
        span = await self._span(ledger, wanted)
        span = Span(span.after, min(span.upto, upto))
        if after is not None:
            span = _beyond(span, after, newest_first)

        async def read(connection: Connection) -> Page:
            if wanted.by_effect:
                places = await self._by_effect(connection, ledger, wanted, after, limit + 1, newest_first)
            else:
                found = await self._by_sequence(connection, ledger, wanted, span, limit + 1, newest_first)
                places = [Place(sequence) for sequence in found]
            whole = await entries_at(connection, ledger, [place.sequence for place in places[:limit]])
            shown = tuple(whole[place.sequence] for place in places[:limit] if place.sequence <= upto)
            return Page(shown, places[limit - 1] if len(places) > limit else None)

        return Told(*await self._sources.read(ledger, read, needs=_reached(span), heavy=heavy))

    async def _span(self, ledger: int, wanted: EntryFilter) -> Span:
        after = await self._reading.before(ledger, wanted.posted_from)
        if wanted.posted_to is None or wanted.posted_to > datetime.now(UTC):
            return Span(after, MOST)
        upto = await self._reading.cut(ledger, AsOf(moment=wanted.posted_to - TICK))
        return Span(after, MOST if upto is None else upto)

    async def _by_sequence(
        self,
        connection: Connection,
        ledger: int,
        wanted: EntryFilter,
        span: Span,
        limit: int,
        newest_first: bool,
    ) -> list[int]:
        if wanted.kind is not None:
            return await finding.by_kind(
                connection, ledger, wanted.kind, span, limit, newest_first=newest_first
            )
        if wanted.reference is not None:
            if not await finding.has_reference(connection, ledger, wanted.reference):
                raise refusals.NoSuchReference(
                    f"no entry has the reference {wanted.reference}", field="reference"
                )
            return await finding.by_reference(
                connection, ledger, wanted.reference, span, limit, newest_first=newest_first
            )
        if wanted.metadata is not None:
            key, value = wanted.metadata
            await _check_metadata(connection, ledger, key, value)
            return await finding.by_metadata(
                connection, ledger, key, value, span, limit, newest_first=newest_first
            )
        if wanted.account is not None or wanted.prefix is not None:
            among = await _accounts(connection, ledger, wanted)
            return await finding.by_accounts(connection, among, span, limit, newest_first=newest_first)
        return await finding.all_entries(connection, ledger, span, limit, newest_first=newest_first)

    async def _by_effect(
        self,
        connection: Connection,
        ledger: int,
        wanted: EntryFilter,
        after: Place | None,
        limit: int,
        newest_first: bool,
    ) -> list[Place]:
        low = (wanted.effective_from - TICK if wanted.effective_from else BEGINNING, MOST)
        high = (wanted.effective_to or END, 0)
        if after is not None and after.effective_at is not None:
            place = (after.effective_at, after.sequence)
            low, high = (low, min(high, place)) if newest_first else (max(low, place), high)
        rows = await finding.by_effect(connection, ledger, low, high, limit, newest_first=newest_first)
        return [Place(sequence, effective_at) for effective_at, sequence in rows]


BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
END = datetime(9999, 12, 30, tzinfo=UTC)


def _check(wanted: EntryFilter, chart: Chart) -> None:
    ways = wanted.ways()
    if len(ways) > 1:
        raise Invalid(f"{ways[0]} and {ways[1]} cannot be combined: take one", field=ways[1])
    if wanted.by_effect and (wanted.posted_from or wanted.posted_to):
        field = "posted_from" if wanted.posted_from else "posted_to"
        raise Invalid("a range of effective times and one of posting times cannot be combined", field=field)
    if wanted.kind is not None and wanted.kind not in chart.kinds:
        raise refusals.UnknownKind(f"the chart has no kind {wanted.kind}", field="kind")
    for name, begin, end in (
        ("posted_to", wanted.posted_from, wanted.posted_to),
        ("effective_to", wanted.effective_from, wanted.effective_to),
    ):
        if begin and end and begin >= end:
            raise Invalid("a range ends after it begins", field=name)


async def _accounts(
    connection: Connection, ledger: int, wanted: EntryFilter
) -> Sequence[accounts.AccountRow]:
    if wanted.account is not None:
        currency = wanted.currency or "MXN"
        known = await accounts.account(connection, ledger, wanted.account, currency)
        if known is None:
            raise refusals.NoSuchAccount(f"no account {wanted.account} in {currency}", field="account")
        return [known]
    prefix = wanted.prefix or ""
    among = await accounts.accounts_under(connection, ledger, prefix, MOST_ACCOUNTS + 1)
    if not among:
        raise refusals.NoSuchAccount(f"no account begins with {prefix}", field="prefix")
    if len(among) > MOST_ACCOUNTS:
        raise Invalid(
            f"the prefix covers more than {MOST_ACCOUNTS} accounts; take a longer one", field="prefix"
        )
    return among


async def _check_metadata(connection: Connection, ledger: int, key: str, value: str) -> None:
    has_key, has_value = await finding.has_metadata(connection, ledger, key, value)
    if not has_key:
        raise refusals.NoSuchMetadata(f"no entry has metadata {key}", field="metadata_key")
    if not has_value:
        raise refusals.NoSuchMetadata(f"no entry has {value} as its {key}", field="metadata_value")


def _beyond(span: Span, after: Place, newest_first: bool) -> Span:
    if newest_first:
        return Span(span.after, min(span.upto, after.sequence - 1))
    return Span(max(span.after, after.sequence), span.upto)


def _reached(span: Span) -> int:
    """What a replica must have reached: a range's end, when that is known."""
    return span.upto if span.upto < MOST else span.after
