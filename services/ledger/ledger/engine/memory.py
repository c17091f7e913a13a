"""What an engine remembers of its ledger from batch to batch, so that most batches are decided unread.

Memory is never the authority. A batch decided on it is written only if the ledger's head is still where
memory has it (`journal.write` compares and swaps), and the journal's triggers check every rule again. So a
wrong memory costs a second try, never an entry: whatever does not fit is forgotten and read anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from common.errors import DomainError
from common.pg import Connection, Pool, borrowed

from ledger.domain.books import Account, AccountKey, Books
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Group
from ledger.domain.decide import Decision, accounts_of, decide
from ledger.store import books as store

MAX_ACCOUNTS = 100_000
MAX_HOLDS = 200_000
MAX_FINISHED = 100_000
"""How much is remembered, at some hundred bytes each; beyond it, all of its sort is forgotten."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was decided from memory and is on its way to the journal, numbered from `after` + 1.

    whole       whether nothing else of its batch is expected to be written: if so, more can be decided on top of it
    attempt     how often memory had been forgotten when it was decided
    """

    after: int
    decided: Sequence[Decision]
    whole: bool
    attempt: int


class Memory:
    """One ledger's head, accounts, open holds and permissions as they are once all is in the journal that is on its way
    there, if it gets there."""

    def __init__(self, ledger: int, chart: Chart) -> None:
        self._ledger = ledger
        self.chart = chart
        self._finished: set[bytes] = set()  # plain bytes: UUIDs by the ten thousand keep the collector busy
        self.head: int | None = None
        self.books = Books(chart, {})
        self._on_their_way = 0
        self._attempt = 0
        self._drafts: list[Decision] = []

    def forget(self) -> None:
        """Start again from nothing: another writer was here, or what was written is not known. Drafts are void, and what is
        on its way tells nothing about this memory any more."""
        self.head = None
        self.books = Books(self.chart, {})
        self._on_their_way = 0
        self._attempt += 1
        self._drafts.clear()

    def finished(self, ids: Iterable[UUID]) -> None:
        """These commands have their answers: should they come again, they are looked up."""
        if len(self._finished) >= MAX_FINISHED:
            self._finished.clear()
        self._finished.update(id.bytes for id in ids)

    def moved(self, before: int, after: int, books: Books) -> None:
        """A batch that was decided on `books`, read under the head's lock, took the ledger from
        `before` to `after`. Drafts knew nothing of it."""
        if self.head != before or self._drafts:
            self.forget()
        self.head = after
        self.books.permitted = books.permitted
        self.books.accounts.update(books.accounts)
        self.books.holds.update(books.holds)

    def suited(self, groups: Sequence[Group]) -> list[Group]:
        """Those of `groups` whose decision needs no more than memory can hold."""
        return [group for group in groups if len(group) == 1 and self._suits(group)]

    def _suits(self, group: Group) -> bool:
        (command,) = group
        kind = self.chart.kinds.get(command.kind)
        return (
            kind is not None
            and command.plain
            and command.effective_at is None
            and not kind.receipt
            and kind.settlement is None
            and command.id.bytes not in self._finished
        )

    def send(self, decided: Sequence[Decision], *, whole: bool) -> Sent:
        """`decided` is on its way to the journal now, after all that was sent before. If that is the `whole` batch, nothing
        else happens to the ledger before the next one as far as we know: what comes can be drafted."""
        if self.head is None:
            raise RuntimeError("nothing can be sent on a forgotten head")
        sent = Sent(self.head, decided, whole, self._attempt)
        self.head += len(decided)
        self._on_their_way += whole
        return sent

    def send_drafts(self) -> Sent | None:
        """What was drafted is on its way; None if there is nothing that counts."""
        drafts = self.take_drafts()
        return self.send(drafts, whole=True) if drafts else None

    def failed(self, sent: Sent) -> None:
        """`sent` is not in the journal, or nobody knows: neither will be what was decided on top of it."""
        if sent.attempt == self._attempt:
            self.forget()

    def landed(self, sent: Sent) -> None:
        """`sent` is in the journal."""
        self.finished(decision.command.id for decision in sent.decided)
        if sent.attempt != self._attempt:  # what it was decided upon is there after all
            self.forget()
            return
        self._on_their_way -= sent.whole
        self.books.stakes.clear()  # only the lock's own reading of them counts, and they would pile up
        self.books.escrowed.clear()
        for decision in sent.decided:
            for posting in decision.postings:
                if posting.hold is None:
                    continue
                known = self.books.holds.get(posting.hold)  # one batch may draw it several times
                if known is not None and not known.remaining:
                    del self.books.holds[posting.hold]

    def draft(self, group: Group) -> bool:
        """Decide `group` now, for the batch after those that are being written, as if they were in the journal.
        False if it has to wait for its own batch: memory lacks something, or would refuse it."""
        if not self._on_their_way or self._is_full() or len(group) != 1 or not self._suits(group):
            return False
        (command,) = group
        if self._unknown_accounts(command) or self._unknown_holds(command):
            return False
        try:
            self._drafts.append(decide(command, self.books))
        except DomainError:
            return False
        return True

    @property
    def has_drafts(self) -> bool:
        """Whether anything was drafted that still counts."""
        return bool(self._drafts)

    def take_drafts(self) -> list[Decision]:
        """What was drafted, in its order, and still counts: all of it, or nothing if memory has been forgotten since."""
        drafts, self._drafts = self._drafts, []
        return drafts

    async def read(self, pool: Pool, groups: Sequence[Group]) -> None:
        """Read what deciding `groups` needs and memory does not have; open the accounts that are new
        to those of them that will be posted.

        Nothing is locked. The head is read first: if the ledger moves on meanwhile, then it is no longer
        where memory has it, and the write finds out.
        """
        commands = [group[0] for group in groups]
        accounts: set[AccountKey] = set()
        accounts.update(*map(self._unknown_accounts, commands))
        holds = [hold for command in commands for hold in self._unknown_holds(command)]
        if self.head is not None and not accounts and not holds:
            return
        try:
            async with borrowed(pool) as connection:
                await self._read(connection, commands, accounts, holds)
        except BaseException:
            self.forget()
            raise

    async def _read(
        self,
        connection: Connection,
        commands: Sequence[Command],
        accounts: Set[AccountKey],
        holds: Sequence[UUID],
    ) -> None:
        if self.head is None:
            self.head = await store.read_head(connection, self._ledger)
            self.books.permitted = await store.load_permitted(connection, self._ledger)
        if holds:
            self.books.holds.update(await store.load_holds(connection, self._ledger, holds))
        if accounts:
            found = await store.load_accounts(connection, self._ledger, accounts, self.chart)
            new = {key: account for key, account in found.items() if account.id < 0}
            self.books.accounts.update((key, found[key]) for key in found.keys() - new.keys())
            if new:
                wanted = self._posted_on(new, commands)
                opened = await store.open_accounts(connection, self._ledger, self.head, wanted, self.chart)
                self.books.accounts.update(opened)

    def _posted_on(self, new: Mapping[AccountKey, Account], commands: Sequence[Command]) -> set[AccountKey]:
        """Those of the `new` accounts on which `commands` would be posted if they were open. Who is refused opens none."""
        trial = self.books.trial()
        trial.accounts.update(new)
        decided = []
        for command in commands:
            if any((leg.account, leg.currency) in new for leg in command.legs):
                with suppress(DomainError):
                    decided.append(decide(command, trial))
        return new.keys() & accounts_of(decided)

    def _unknown_accounts(self, command: Command) -> list[AccountKey]:
        known = self.books.accounts
        return [
            (leg.account, leg.currency) for leg in command.legs if (leg.account, leg.currency) not in known
        ]

    def _unknown_holds(self, command: Command) -> list[UUID]:
        if self.chart.kinds[command.kind].hold != "draw":
            return []
        return [leg.hold for leg in command.legs if leg.hold and leg.hold not in self.books.holds]

    def _is_full(self) -> bool:
        return len(self.books.accounts) > MAX_ACCOUNTS or len(self.books.holds) > MAX_HOLDS

    def decide(self, groups: Sequence[Group]) -> list[Decision]:
        """Decide those of `groups` that memory lets through, and remember them as posted.

        Nothing is refused here: a refusal is for ever, so it is for those who read under the lock.
        """
        decided = []
        for (command,) in groups:
            try:
                decided.append(decide(command, self.books))
            except DomainError:
                continue
        return decided

    def forget_if_full(self) -> None:
        """Between two batches. While there are drafts it is not: nothing is drafted any more on a full memory."""
        if self._is_full():
            self.forget()
