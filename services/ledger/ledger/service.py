"""The ledger's use cases: post a command, read the books, accept a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from common.errors import DomainError
from common.pg import Pool, transaction

from ledger.domain import refusals
from ledger.domain.attestations import check_purpose
from ledger.domain.commands import Command
from ledger.engine import PostedEntry, PostingEngine
from ledger.store import queries
from ledger.store.outcomes import StoredRefusal, entries
from ledger.store.receipts import ReceiptRow, add_receipt, stored_attestation


class Ledger:
    """Every ledger this process serves, by id: one engine each, one pool for posting, one for reading."""

    def __init__(self, engines: dict[int, PostingEngine], reading: Pool) -> None:
        self._engines = engines
        self._reading = reading

    async def post(self, command: Command) -> tuple[PostedEntry, bool]:
        """Post one command; returns the entry and whether it had been posted before.

        Raises:
            DomainError: the command was refused, now or when it first came.
            NotReady: what it refers to has not arrived; nothing was stored.
            Overloaded, Draining, DatabaseUnavailable: nothing is known; repeat with the same key.
        """
        answer = await self._engines[command.ledger].post(command)
        match answer.outcome:
            case PostedEntry() as entry:
                return entry, answer.replayed
            case StoredRefusal(why=why):
                raise _again(why, replayed=answer.replayed)
            case DomainError() as why:
                raise _again(why, replayed=False)

    async def entry(self, ledger: int, id: UUID) -> PostedEntry:
        """Raises NoSuchEntry when this ledger has no entry of that id."""
        async with transaction(self._reading, readonly=True) as connection:
            found = await entries(connection, ledger, [id])
        if not found:
            raise refusals.NoSuchEntry(f"no entry {id}")
        return found[0]

    async def balance(self, ledger: int, account: str, currency: str) -> queries.BalanceRow:
        """Raises NoSuchAccount when the account was never posted to."""
        async with transaction(self._reading, readonly=True) as connection:
            found = await queries.balance(connection, ledger, account, currency)
        if found is None:
            raise refusals.NoSuchAccount(f"no account {account} in {currency}", field="account")
        return found

    async def balances(
        self, ledger: int, prefix: str, after: str, limit: int
    ) -> Sequence[queries.BalanceRow]:
        """Accounts by path, beyond `after`."""
        async with transaction(self._reading, readonly=True) as connection:
            return await queries.balances(connection, ledger, prefix, after, limit)

    async def statement(
        self, ledger: int, account: str, currency: str, after: int, limit: int
    ) -> Sequence[queries.StatementRow]:
        """Postings of an account, beyond account sequence `after`. Raises NoSuchAccount."""
        await self.balance(ledger, account, currency)
        async with transaction(self._reading, readonly=True) as connection:
            return await queries.statement(connection, ledger, account, currency, after, limit)

    async def trial_balance(self, ledger: int) -> tuple[int, Sequence[queries.TrialBalanceRow]]:
        """The ledger's last sequence and its balances by class."""
        async with transaction(self._reading, isolation="repeatable_read", readonly=True) as connection:
            return await queries.trial_balance(connection, ledger)

    async def drift(self, ledger: int) -> Sequence[str]:
        """Accounts whose balance is not the sum of their postings: none, in a sound ledger."""
        async with transaction(self._reading, isolation="repeatable_read", readonly=True) as connection:
            return await queries.drift(connection, ledger)


def _again(why: DomainError, *, replayed: bool) -> DomainError:
    """A fresh instance: a stored refusal may be raised to many callers at once."""
    extra = {**why.extra, "replayed": "true"} if replayed else why.extra
    return type(why)(why.detail, field=why.field, extra=extra, retry_after=why.retry_after)


async def accept_receipt(pool: Pool, receipt: ReceiptRow) -> bool:
    """Store a receipt whose signature was verified; False when it was there already, word for word.

    Raises:
        ReceiptMismatch: no entry could spend it.
        DuplicateTrackingKey, DuplicateDocument: the same transfer under another receipt.
        ReceiptExists: the same id attests something else.
    """
    check_purpose(receipt.purpose, receipt.account)
    async with transaction(pool) as connection:
        if await add_receipt(connection, receipt):
            return True
        if await stored_attestation(connection, receipt.id) != receipt.attestation:
            raise refusals.ReceiptExists(f"receipt {receipt.id} attests something else", field="receipt_id")
        return False
