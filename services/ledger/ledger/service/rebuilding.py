"""Recomputing everything from the journal, a part at a time, on one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date

from common.pg import Pool, transaction

from ledger.store import rebuild
from ledger.store.rebuild import Drift, Extent

ACCOUNTS_AT_ONCE = 2_000
ENTRIES_AT_ONCE = 50_000
"""Bounds what one statement sorts; and how often the progress moves."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One part recomputed: `done` of `parts`, and what it found."""

    check: str
    done: int
    parts: int
    found: tuple[Drift, ...]


async def recompute(pool: Pool, ledger: int) -> AsyncIterator[Checked | Extent]:
    """How much there is, then every part as it is checked. Posting may go on meanwhile: one snapshot is read."""
    async with transaction(pool, isolation="repeatable_read", readonly=True) as connection:
        extent = await rebuild.extent(connection, ledger)
        yield extent
        parts = list(_parts(extent))
        for done, (check, *bounds) in enumerate(parts, 1):
            found = await rebuild.differences(connection, str(check), ledger, *bounds)
            yield Checked(str(check), done, len(parts), tuple(found))


def _parts(extent: Extent) -> Iterator[tuple[str | int | date, ...]]:
    for first in range(extent.first_account, extent.last_account + 1, ACCOUNTS_AT_ONCE):
        for check in rebuild.BY_ACCOUNT:
            yield check, first, first + ACCOUNTS_AT_ONCE
    for first in range(1, extent.sequence + 1, ENTRIES_AT_ONCE):
        for check in rebuild.BY_ENTRY:
            yield check, first, first + ENTRIES_AT_ONCE
    for check in rebuild.BY_LEDGER:
        yield (check,)
    for period, starts_on in extent.closes:
        for check in rebuild.BY_CLOSE:
            yield check, period, starts_on
