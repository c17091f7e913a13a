"""Statements and entries as files: CSV for people, JSON lines for programs.

An export ends at the sequence the ledger had when it began. It is read in pages of the journal, which never changes
behind a page, so it is exact without a snapshot: however slowly it is read, no transaction is held open for it and no
more than a page is in memory.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from common.errors import TooMany

from ledger.domain.amounts import written
from ledger.domain.chart import Chart, Side
from ledger.service.finding import EntryFilter, Finding
from ledger.service.reading import AsOf, Reading
from ledger.store.accounts import AccountRow
from ledger.store.outcomes import PostedEntry
from ledger.store.statements import StatementRow

Format = Literal["csv", "jsonl"]
CONTENT_TYPES: Final[dict[Format, str]] = {"csv": "text/csv", "jsonl": "application/jsonl"}

PAGE = 500
SLICE = 100
"""Rows written at once: writing must not keep a posting waiting on the same event loop."""
MOST_AT_ONCE = 4
"""Of one ledger. Whoever reads theirs slowly holds up their own house alone."""
MOST_OF_ALL = 16

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, object]


class TooManyExports(TooMany):
    slug, title = "too-many-exports", "Too many exports at once"


@dataclass(frozen=True, slots=True)
class Part:
    """Some of an export's text, and how many rows it has had so far."""

    text: bytes
    rows: int


class Exporting:
    """Writes exports, a few at a time."""

    def __init__(self, reading: Reading, finding: Finding) -> None:
        self._reading = reading
        self._finding = finding
        self._running: Counter[int] = Counter()

    async def statement(
        self,
        ledger: int,
        path: str,
        currency: str,
        form: Format,
        *,
        as_of: AsOf,
        since: datetime | None = None,
    ) -> AsyncGenerator[Part, None]:
        """An account's whole statement, oldest first.

        Raises:
            NoSuchAccount, Invalid, ReplicaBehind: as `Reading.statement` does, before anything is written.
            TooManyExports: try again later.
        """
        async with self._turn(ledger):
            upto = await self._reading.reached(ledger, as_of)
            after: int | None = None
            rows = 0
            while True:
                told = await self._reading.statement(
                    ledger,
                    path,
                    currency,
                    after=after,
                    limit=PAGE,
                    as_of=AsOf(sequence=upto),
                    since=since,
                    heavy=True,
                )
                page = told.what
                lines = [_line(page.account, line) for line in page.lines]
                async for part in _written(lines, form, _LINE_COLUMNS, rows, first=after is None):
                    yield part
                rows += len(lines)
                if not page.more:
                    break
                after = page.lines[-1].account_sequence
            yield Part(_end(form, rows, upto), rows)

    async def entries(
        self, ledger: int, chart: Chart, wanted: EntryFilter, form: Format
    ) -> AsyncGenerator[Part, None]:
        """Every entry that fits, in its order; CSV has a row for each of an entry's postings.

        Raises:
            As `Finding.entries` does, before anything is written; TooManyExports.
        """
        async with self._turn(ledger):
            upto = await self._reading.reached(ledger, AsOf())
            after, rows = None, 0
            spread: Callable[[PostedEntry, Chart], Iterator[Row]] = _legs if form == "csv" else _whole
            while True:
                told = await self._finding.entries(
                    ledger, chart, wanted, after=after, limit=PAGE, upto=upto, heavy=True
                )
                lines = [row for entry in told.what.entries for row in spread(entry, chart)]
                async for part in _written(lines, form, _LEG_COLUMNS, rows, first=after is None):
                    yield part
                rows += len(lines)
                after = told.what.next
                if after is None:
                    break
            yield Part(_end(form, rows, upto), rows)

    @asynccontextmanager
    async def _turn(self, ledger: int) -> AsyncIterator[None]:
        if self._running[ledger] >= MOST_AT_ONCE or self._running.total() >= MOST_OF_ALL:
            raise TooManyExports(f"at most {MOST_AT_ONCE} exports run at once", retry_after=5)
        self._running[ledger] += 1
        try:
            yield
        finally:
            self._running[ledger] -= 1


_LINE_COLUMNS = (
    "account_sequence",
    "entry",
    "sequence",
    "kind",
    "reference",
    "side",
    "amount",
    "balance",
    "currency",
    "hold",
    "posted_at",
    "effective_at",
)
_LEG_COLUMNS = (
    "sequence",
    "id",
    "kind",
    "posted_at",
    "effective_at",
    "reference",
    "principal",
    "account",
    "side",
    "amount",
    "currency",
    "balance",
    "account_sequence",
    "hold",
    "receipt",
    "reverses",
    "metadata",
)


def _line(account: AccountRow, line: StatementRow) -> Row:
    return {
        "account_sequence": line.account_sequence,
        "entry": str(line.entry_id),
        "sequence": line.sequence,
        "kind": line.kind,
        "reference": line.reference,
        "side": Side(line.side).word,
        "amount": written(line.amount, account.exponent),
        "balance": written(line.balance, account.exponent),
        "currency": account.currency,
        "hold": str(line.hold) if line.hold else None,
        "posted_at": line.posted_at.isoformat(),
        "effective_at": line.effective_at.isoformat(),
    }


def _legs(entry: PostedEntry, chart: Chart) -> Iterator[Row]:
    for leg in entry.legs:
        exponent = chart.exponents[leg.currency]
        yield {
            "sequence": entry.sequence,
            "id": str(entry.id),
            "kind": entry.kind,
            "posted_at": entry.posted_at.isoformat(),
            "effective_at": entry.effective_at.isoformat(),
            "reference": entry.reference,
            "principal": entry.principal,
            "account": leg.account,
            "side": Side(1 if leg.amount > 0 else -1).word,
            "amount": written(abs(leg.amount), exponent),
            "currency": leg.currency,
            "balance": written(leg.balance * leg.side, exponent),
            "account_sequence": leg.account_sequence,
            "hold": str(leg.hold) if leg.hold else None,
            "receipt": str(entry.receipt) if entry.receipt else None,
            "reverses": str(entry.reverses) if entry.reverses else None,
            "metadata": json.dumps(entry.metadata, sort_keys=True) if entry.metadata else None,
        }


def _whole(entry: PostedEntry, chart: Chart) -> Iterator[Row]:
    """The entry as one row: what its legs share, and the legs."""
    legs = list(_legs(entry, chart))
    shared = {name: legs[0][name] for name in legs[0] if name not in _OF_A_LEG and name != "metadata"}
    postings = [{name: leg[name] for name in _OF_A_LEG} for leg in legs]
    yield {**shared, "metadata": entry.metadata, "postings": postings}


_OF_A_LEG = ("account", "side", "amount", "currency", "balance", "account_sequence", "hold")


async def _written(
    rows: Sequence[Row], form: Format, columns: Sequence[str], before: int, *, first: bool
) -> AsyncIterator[Part]:
    """The rows of a page as text, with a header before the first one."""
    if form == "csv" and first:
        yield Part(_csv([dict(zip(columns, columns, strict=True))], columns), 0)
    for begin in range(0, len(rows), SLICE):
        some = rows[begin : begin + SLICE]
        text = _csv(some, columns) if form == "csv" else _jsonl(some)
        yield Part(text, before + begin + len(some))
        await asyncio.sleep(0)


def _csv(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    """RFC 4180. A text that a spreadsheet would run as a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow(
            [
                f"'{value}"
                if column in _TEXTS and isinstance(value, str) and value.startswith(_FORMULA)
                else value
                for column, value in ((column, row[column]) for column in columns)
            ]
        )
    return text.getvalue().encode()


_TEXTS = ("reference", "principal", "metadata")
"""What others wrote; everything else has a form of ours."""


def _jsonl(rows: Sequence[Row]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


def _end(form: Format, rows: int, upto: int) -> bytes:
    """JSON lines end by saying that they do, so that a file cut short is seen to be."""
    return b"" if form == "csv" else _jsonl([{"end": rows, "sequence": upto}])
