"""Reading the books: balances, statements, entries, trial balances, now and as of any moment.

An answer about a moment is a prefix of the journal, so it is exact and stays so: posting goes on beside it. Filters
that match nothing because the thing does not exist say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from common.errors import Invalid
from common.pg import Connection, transaction

from ledger.balance_cache import BalanceCache
from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.domain.closes import Close, ClosedBalance, Period, Proof, Total
from ledger.replica import Source, Sources
from ledger.store import accounts, closes, lists, moments, statements, trial
from ledger.store.outcomes import PostedEntry, entries

What = TypeVar("What")

SETTLES_AFTER = timedelta(milliseconds=250)
"""How long ago a moment should be before it is settled: longer than a batch takes, so none is sent back for it."""

TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Told(Generic[What]):
    """What was read, and where."""

    what: What
    source: Source


@dataclass(frozen=True, slots=True)
class AsOf:
    """A point of the journal: by sequence, by time (everything posted up to and including it), or its end."""

    sequence: int | None = None
    moment: datetime | None = None


NOW = AsOf()


@dataclass(frozen=True, slots=True)
class Statement:
    """A page of an account's statement; `more` tells that there are further lines."""

    account: accounts.AccountRow
    lines: Sequence[statements.StatementRow]
    more: bool


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All balances by class at `sequence`."""

    sequence: int
    rows: Sequence[trial.TrialBalanceRow]


class Reading:
    """Everything that is read of the books; nothing here decides anything."""

    def __init__(self, sources: Sources, cache: BalanceCache | None = None) -> None:
        self.sources = sources
        self._cache = cache

    async def entry(self, ledger: int, id: UUID) -> PostedEntry:
        """Raises NoSuchEntry when this ledger has no entry of that id."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            found = await entries(connection, ledger, [id])
        if not found:
            raise refusals.NoSuchEntry(f"no entry {id}", field="id")
        return found[0]

    async def balance(
        self, ledger: int, path: str, currency: str, as_of: AsOf = NOW, *, min_sequence: int = 0
    ) -> tuple[accounts.BalanceRow, str]:
        """An account's balance, and where it was read: `cache` or `primary`.

        Raises:
            NoSuchAccount: it was never posted to, or not by then.
            SequenceNotReached: it has fewer than `min_sequence` postings.
        """
        at = await self.cut(ledger, as_of)
        if at is not None:
            return await self._balance_at(ledger, path, currency, at, as_of), "primary"

        async def read() -> accounts.BalanceRow | None:
            async with transaction(self.sources.primary, readonly=True) as connection:
                return await accounts.balance(connection, ledger, path, currency)

        if self._cache is None:
            row, source = await read(), "primary"
        else:
            row, source = await self._cache.through((ledger, path, currency), read, at_least=min_sequence)
        if row is None:
            raise _no_account(path, currency)
        if row.sequence < min_sequence:
            raise refusals.SequenceNotReached(f"{path} has {row.sequence} postings", field="min_sequence")
        return row, source

    async def _balance_at(
        self, ledger: int, path: str, currency: str, at: int, as_of: AsOf
    ) -> accounts.BalanceRow:
        async with transaction(self.sources.primary, readonly=True) as connection:
            known = await accounts.account(connection, ledger, path, currency)
            if known is None:
                raise _no_account(path, currency)
            then = await accounts.balance_at(connection, known, at)
        if then is None:
            raise refusals.NoSuchAccount(
                f"{path} had no posting by sequence {at}",
                field="sequence" if as_of.sequence is not None else "at",
            )
        return then

    async def balances(
        self, ledger: int, prefix: str, after: tuple[str, str], limit: int, as_of: AsOf = NOW
    ) -> Sequence[accounts.BalanceRow]:
        """Accounts by path, beyond `after`. Raises NoSuchAccount when none has the prefix at all."""
        at = await self.cut(ledger, as_of)
        async with transaction(self.sources.primary, readonly=True) as connection:
            found = await accounts.balances(connection, ledger, prefix, after, limit, at=at)
            if not found and prefix and not await accounts.accounts_under(connection, ledger, prefix, 1):
                raise refusals.NoSuchAccount(f"no account begins with {prefix}", field="prefix")
        return found

    async def wallet(self, ledger: int, prefix: str) -> Sequence[accounts.BalanceRow]:
        """Every account of one owner; none when the owner never had money."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            return await accounts.balances(connection, ledger, prefix, ("", ""), MOST_OF_AN_OWNER)

    async def statement(
        self,
        ledger: int,
        path: str,
        currency: str,
        *,
        after: int | None,
        limit: int,
        newest_first: bool = False,
        as_of: AsOf = NOW,
        since: datetime | None = None,
        heavy: bool = False,
    ) -> Told[Statement]:
        """Postings of an account beyond account sequence `after` (before it, when newest first).

        Raises:
            NoSuchAccount: it was never posted to.
        """
        upto = await self.cut(ledger, as_of)
        begin = await self.before(ledger, since)

        async def read(connection: Connection) -> Statement:
            known = await accounts.account(connection, ledger, path, currency)
            if known is None:
                raise _no_account(path, currency)
            first = await moments.account_sequence_at(connection, known.id, begin) if begin else 0
            last = MOST if upto is None else await moments.account_sequence_at(connection, known.id, upto)
            if after is not None:
                first, last = (first, min(last, after - 1)) if newest_first else (max(first, after), last)
            lines = await statements.statement(
                connection, known, first, last, limit + 1, newest_first=newest_first
            )
            return Statement(known, lines[:limit], len(lines) > limit)

        return Told(*await self.sources.read(ledger, read, needs=max(upto or 0, begin), heavy=heavy))

    async def trial_balance(self, ledger: int, as_of: AsOf = NOW) -> Told[TrialBalance]:
        """All balances by class, now or then."""
        at = await self.cut(ledger, as_of)

        async def read(connection: Connection) -> TrialBalance:
            end = await moments.head(connection, ledger)
            if at is None:
                return TrialBalance(end, await trial.trial_balance(connection, ledger))
            return TrialBalance(at, await trial.trial_balance_at(connection, ledger, at, end))

        return Told(*await self.sources.read(ledger, read, needs=at or 0, heavy=at is not None))

    async def holds(self, ledger: int, after: UUID, limit: int) -> Sequence[lists.HoldRow]:
        """A page of all holds."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            return await lists.holds(connection, ledger, after, limit)

    async def holds_on(
        self, ledger: int, chart: Chart, path: str, currency: str, after: UUID, limit: int
    ) -> Sequence[lists.HoldRow]:
        """A page of the holds on an account. Raises NoSuchAccount, and Invalid when it is of a class that never has
        holds: a page of none could not tell."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            known = await accounts.account(connection, ledger, path, currency)
            if known is None:
                raise _no_account(path, currency)
            _check_holding(chart, path)
            return await lists.holds_on(connection, known, after, limit)

    async def holds_of(self, ledger: int, reference: str, after: UUID, limit: int) -> Sequence[lists.HoldRow]:
        """A page of the holds of a reference. Raises NoSuchReference when no hold has it."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            found = await lists.holds_of(connection, ledger, reference, after, limit)
            if not found and not await lists.has_holds_of(connection, ledger, reference):
                raise refusals.NoSuchReference(f"no hold has the reference {reference}", field="reference")
        return found

    async def refusals(
        self, ledger: int, place: tuple[datetime, UUID], limit: int, *, newest_first: bool
    ) -> Sequence[lists.RefusalRow]:
        """A page of refusals beyond `place`."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            return await lists.refusals(connection, ledger, place, limit, newest_first=newest_first)

    async def closes(self, ledger: int, period: Period, before: date | None, limit: int) -> Sequence[Close]:
        """Closed periods, newest first, that began before that day."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            return await closes.closes(connection, ledger, period, before, limit)

    async def close(
        self, ledger: int, period: Period, starts_on: date
    ) -> tuple[Close, Sequence[Total], Sequence[Proof]]:
        """A close, its trial balance and its proofs. Raises NoSuchClose."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            found = await closes.close_of(connection, ledger, period, starts_on)
            if found is None:
                raise _not_closed(period, starts_on)
            return (
                found,
                await closes.totals(connection, ledger, period, starts_on),
                await closes.proofs(connection, ledger, period, starts_on),
            )

    async def closed_balances(
        self, ledger: int, period: Period, starts_on: date, after: int, limit: int
    ) -> tuple[Sequence[ClosedBalance], int]:
        """A page of a close's accounts. Raises NoSuchClose."""
        async with transaction(self.sources.primary, readonly=True) as connection:
            if await closes.close_of(connection, ledger, period, starts_on) is None:
                raise _not_closed(period, starts_on)
            return await closes.closed_balances(connection, ledger, period, starts_on, after, limit)

    async def cut(self, ledger: int, as_of: AsOf) -> int | None:
        """The sequence that `as_of` means, for ever; None for the end of the journal.

        Waits for a writer under way with an earlier moment.

        Raises:
            Invalid: a sequence or a moment that has not come yet.
        """
        if as_of.sequence is not None:
            async with transaction(self.sources.primary, readonly=True) as connection:
                end = await moments.head(connection, ledger)
            if as_of.sequence > end:
                raise Invalid(f"the ledger has reached sequence {end}", field="sequence")
            return as_of.sequence
        if as_of.moment is None:
            return None
        return await self._settled(ledger, as_of.moment, "at")

    async def reached(self, ledger: int, as_of: AsOf) -> int:
        """The sequence that `as_of` means, or the one the ledger has now. Raises as `cut` does."""
        at = await self.cut(ledger, as_of)
        if at is not None:
            return at
        async with transaction(self.sources.primary, readonly=True) as connection:
            return await moments.head(connection, ledger)

    async def before(self, ledger: int, moment: datetime | None, field: str = "posted_from") -> int:
        """The last sequence posted before `moment`; 0 without one. Raises Invalid when it has not come."""
        return 0 if moment is None else await self._settled(ledger, moment - TICK, field)

    async def _settled(self, ledger: int, moment: datetime, field: str) -> int:
        if moment > datetime.now(UTC) + SETTLES_AFTER:
            raise Invalid("that moment has not come yet", field=field)
        await asyncio.sleep((moment + SETTLES_AFTER - datetime.now(UTC)).total_seconds())
        async with transaction(self.sources.primary) as connection:
            sequence = await moments.settle_moment(connection, ledger, moment)
        if sequence is None:
            raise Invalid("that moment has not come yet", field=field)
        return sequence


MOST_OF_AN_OWNER = 100
MOST = 2**62
"""Beyond every sequence."""


def _no_account(path: str, currency: str) -> refusals.NoSuchAccount:
    return refusals.NoSuchAccount(f"no account {path} in {currency}", field="account")


def _not_closed(period: Period, starts_on: date) -> refusals.NoSuchClose:
    return refusals.NoSuchClose(f"the {period} of {starts_on} is not closed", field="starts_on")


def _check_holding(chart: Chart, path: str) -> None:
    found = chart.classify(path)
    if found is None or found[0].requires_hold:
        return
    where = " or ".join(chart.kept_for(path))
    detail = f"what is held of it is on {where}" if where else "nothing can be held of it"
    raise Invalid(f"there are no holds on {path}: {detail}", field="account")
