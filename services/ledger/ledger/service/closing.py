"""Closing days and months: everything that is due, in order, one transaction each.

Safe to run twice, at once or late: whoever closes a period first has closed it, the others see that it is done, and a
crash leaves it open as a whole. Posting goes on beside it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from common.pg import Pool, transaction

from ledger.domain.closes import Close, Due, Period, Proof
from ledger.service.reading import TICK
from ledger.store import closes, moments

PERIODS: Final[tuple[Period, ...]] = ("day", "month")


@dataclass(frozen=True, slots=True)
class Closed:
    """A period that is closed now; `here` tells that this run did it."""

    close: Close
    proofs: tuple[Proof, ...]
    here: bool


class Closing:
    """Closes the periods of any ledger. The pool's role is ledger_closer, without a short statement timeout."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def due(self, ledger: int, period: Period, until: date | None = None) -> Due | None:
        """The next period that is over and not closed, and begins no later than `until`."""
        async with transaction(self._pool, readonly=True) as connection:
            found = await closes.next_close(connection, ledger, period)
        if found is None or found.ends_at > datetime.now(UTC) or (until and found.starts_on > until):
            return None
        return found

    async def close_due(self, ledger: int, until: date | None = None) -> AsyncIterator[Closed]:
        """Close every day and then every month that is over, oldest first; tells each when it is closed.

        Raises:
            asyncpg.CheckViolationError: the figures of a period do not hold; it stays open.
        """
        for period in PERIODS:
            while (found := await self.due(ledger, period, until)) is not None:
                if period == "month" and not await self._days_closed(ledger, found):
                    break
                yield await self._close(ledger, found)

    async def _days_closed(self, ledger: int, month: Due) -> bool:
        async with transaction(self._pool, readonly=True) as connection:
            day = await closes.next_close(connection, ledger, "day")
        return day is not None and day.ends_at > month.ends_at

    async def _close(self, ledger: int, due: Due) -> Closed:
        # The moment is settled first, by itself: its lock on the head must not last as long as the close.
        async with transaction(self._pool) as connection:
            await moments.settle_moment(connection, ledger, due.ends_at - TICK)
        async with transaction(self._pool) as connection:
            here = await closes.close_period(connection, ledger, due)
            close = await closes.close_of(connection, ledger, due.period, due.starts_on)
            if close is None:
                raise LookupError(f"{due} was closed and is not there")
            proofs = await closes.proofs(connection, ledger, due.period, due.starts_on)
        return Closed(close, tuple(proofs), here)
