"""Posting: a command, a receipt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from common.errors import DomainError
from common.pg import Pool, transaction

from ledger.balance_cache import BalanceCache
from ledger.domain import refusals
from ledger.domain.attestations import check_purpose
from ledger.domain.commands import Command, Group
from ledger.engine import PostedEntry, PostingEngine
from ledger.engine.batch import Answer
from ledger.store.outcomes import StoredRefusal
from ledger.store.receipts import ReceiptRow, add_receipt, stored_attestation


class Ledger:
    """Every ledger this process serves, by id: one engine each. `cache` hears of what was posted."""

    def __init__(self, engines: dict[int, PostingEngine], cache: BalanceCache | None = None) -> None:
        self._engines = engines
        self._cache = cache

    def expect_room(self, ledger: int) -> None:
        """Raises Overloaded when a request to post would have to wait too long: see `PostingEngine.expect_room`."""
        self._engines[ledger].expect_room()

    async def post(self, command: Command) -> tuple[PostedEntry, bool]:
        """Post one command; returns the entry and whether it had been posted before.

        Raises:
            DomainError: the command was refused, now or when it first came.
            NotReady: what it refers to has not arrived; nothing was stored.
            Overloaded, Draining, DatabaseUnavailable: nothing is known; repeat with the same key.
        """
        engine = self._engines[command.ledger]
        answer = await engine.post(command)
        match answer.outcome:
            case PostedEntry() as entry:
                if self._cache is not None and not answer.replayed:
                    self._cache.moved(command.ledger, entry, engine.chart.exponents)
                return entry, answer.replayed
            case StoredRefusal(why=why):
                raise _again(why, replayed=answer.replayed)
            case DomainError() as why:
                raise _again(why, replayed=False)

    async def post_groups(self, ledger: int, groups: Sequence[Group]) -> list[tuple[Answer, ...]]:
        """Post independent groups of linked commands; each command has its own answer, refusals included.

        Raises:
            Overloaded, Draining: nothing was done of any group.
        """
        engine = self._engines[ledger]
        told = await engine.post_groups(groups)
        if self._cache is not None:
            for answer in chain.from_iterable(told):
                if isinstance(answer.outcome, PostedEntry) and not answer.replayed:
                    self._cache.moved(ledger, answer.outcome, engine.chart.exponents)
        return told


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
