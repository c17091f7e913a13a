"""Following the feed: each change becomes entries of the ledger, exactly once, whatever dies in between.

Every entry has an idempotency key made of the payment's id and version. So a change that is sent again, because
nobody remembers whether it arrived, finds its own entry. What the shadow remembers (`last`: which entry stands for
a payment now; `cursor`: how far it has come) is written after the ledger has answered.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

from common.client import RemoteProblem, ServiceClient, Unreachable
from contracts.ledger import EntryRequest, EntryView, Posting, Side
from contracts.ledger_batches import BatchRequest, BatchView, KeyedEntry, ReversalRequest
from pydantic import ValidationError

from examples.shadow_write.books import Books, Change, Payment

CURRENCY: Final = "MXN"
PASSING: Final = frozenset((409, 429, 503))
"""Answers that say: not now."""
ABOUT_US: Final = frozenset((401, 403))
"""Answers to who we are, and not to what we said: no change is passed over because a key has ended."""
NO_SUCH_PLACE: Final = frozenset(("not-found", "method-not-allowed"))
"""What a server says that has no such route, and the ledger of nothing that it knows."""

_TABLES = """
    CREATE TABLE IF NOT EXISTS last (id TEXT PRIMARY KEY, version INTEGER NOT NULL, entry TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS refused (number INTEGER PRIMARY KEY, id TEXT NOT NULL, why TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS cursor (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL);
    INSERT OR IGNORE INTO cursor VALUES (1, 0);
"""


class Refused(Exception):
    """The ledger will never post this. The books have it, so both drift: people must look."""


def account(name: str) -> str:
    """Where the ledger keeps an account of the team's. Equity has no floor in the generic chart: a shadow takes
    whatever the books took. Moving over means other classes, and floors."""
    return f"equity/shadow/{name}"


def entry(id: str, payment: Payment) -> EntryRequest:
    """The entry that stands for a payment: out of the payer's account, into the payee's."""
    amount = f"{payment.amount:.2f}"
    return EntryRequest(
        kind="transfer",
        reference=f"payments/{id}",
        metadata={"payment": id},
        postings=(
            Posting(account=account(payment.payer), side=Side.DEBIT, amount=amount, currency=CURRENCY),
            Posting(account=account(payment.payee), side=Side.CREDIT, amount=amount, currency=CURRENCY),
        ),
    )


class Shadow:
    """Follows one team's feed."""

    def __init__(
        self,
        books: Books,
        ledger: ServiceClient,
        file: Path,
        *,
        answered: Callable[[Change], None] = lambda _: None,
    ) -> None:
        """`answered` is called between the ledger's answer and remembering it: where a crash would hurt most."""
        self._books = books
        self._ledger = ledger
        self._answered = answered
        self._memory = sqlite3.connect(file)
        self._memory.executescript(_TABLES)

    async def follow(self) -> int:
        """Take up every change there is by now; returns how many. Raises `Unreachable` when the ledger is not
        there or does not let us in: nothing is lost, the next call goes on."""
        done = 0
        while changes := self._books.changes(self.position):
            for change in changes:
                try:
                    standing = await self._patiently(change)
                except Refused as why:
                    self._remember(change, self.standing(change.id), why=str(why))
                else:
                    self._answered(change)
                    self._remember(change, standing)
                done += 1
        return done

    @property
    def position(self) -> int:
        """The number of the last change taken up."""
        (number,) = self._memory.execute("SELECT number FROM cursor").fetchone()
        return int(number)

    def standing(self, id: str) -> UUID | None:
        """The entry that stands for a payment now."""
        row = self._memory.execute("SELECT entry FROM last WHERE id = ?", (id,)).fetchone()
        return UUID(row[0]) if row else None

    def refused(self) -> list[tuple[str, str]]:
        """Payments that the ledger would not take, and why."""
        return self._memory.execute("SELECT id, why FROM refused ORDER BY number").fetchall()

    async def _patiently(self, change: Change, attempts: int = 6) -> UUID | None:
        for attempt in range(attempts):
            try:
                return await self._take_up(change)
            except ValidationError as wrong:
                raise Refused(f"no entry can say this: {wrong.errors()[0]['msg']}") from wrong
            except RemoteProblem as problem:
                if problem.status in ABOUT_US:
                    raise Unreachable(f"the ledger does not let us: {problem}") from problem
                if problem.slug in NO_SUCH_PLACE or problem.slug.startswith("http-"):
                    raise Unreachable(f"that is not the ledger: {problem}") from problem
                if problem.status not in PASSING and problem.status < 500:
                    raise Refused(f"{problem.slug}: {problem.detail}") from problem
                await asyncio.sleep(problem.retry_after or 2**attempt * 0.1)
        raise Unreachable("the ledger has no room; go on later")

    async def _take_up(self, change: Change) -> UUID | None:
        """Make it so in the ledger; returns the entry that stands for the payment now."""
        before = self.standing(change.id)
        if change.payment is None:
            await self._undo(change, before)
            return None
        if before is None:
            made = await self._ledger.post(
                "/v1/entries", entry(change.id, change.payment), EntryView, idempotency_key=key(change)
            )
            return made.id
        return await self._redo(change, change.payment, before)

    async def _undo(self, change: Change, before: UUID | None) -> None:
        """Taken back: the mirror of what stands, once."""
        if before is not None:
            path, body = f"/v1/entries/{before}/reversal", ReversalRequest(metadata={"payment": change.id})
            await self._ledger.post(path, body, EntryView, idempotency_key=f"{key(change)}:undo")

    async def _redo(self, change: Change, payment: Payment, before: UUID) -> UUID:
        """Amended: the mirror of what stands and the payment anew, linked: both or neither."""
        mirror = KeyedEntry(
            kind="reversal", reverses=before, postings=(), reference=f"payments/{change.id}", metadata={"payment": change.id},
            idempotency_key=f"{key(change)}:undo",
        )  # fmt: skip
        anew = KeyedEntry(**dict(entry(change.id, payment)), idempotency_key=key(change))
        answer = await self._ledger.post(
            "/v1/entries/batch", BatchRequest(groups=((mirror, anew),)), BatchView
        )
        ((_, made),) = answer.groups
        if made.entry is None or made.problem is not None:
            problem = next(each.problem for each in answer.groups[0] if each.problem)
            raise RemoteProblem(problem.status, problem.type.rpartition("/")[2], problem.detail, b"", None)
        return made.entry.id

    def _remember(self, change: Change, standing: UUID | None, *, why: str | None = None) -> None:
        with self._memory as memory:
            memory.execute("DELETE FROM last WHERE id = ?", (change.id,))
            if standing is not None:
                memory.execute(
                    "INSERT INTO last VALUES (?, ?, ?)", (change.id, change.version, str(standing))
                )
            if why is not None:
                memory.execute(
                    "INSERT OR REPLACE INTO refused VALUES (?, ?, ?)", (change.number, change.id, why)
                )
            memory.execute("UPDATE cursor SET number = ?", (change.number,))


def key(change: Change) -> str:
    """The same for the same change, for ever."""
    return f"payment:{change.id}:{change.version}"
