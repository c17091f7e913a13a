"""Committing one batch: lock the head, read, decide, write.

Separate statements in a fixed order, because a statement that waits for a lock does not see what
committed meanwhile. Refusals are decided before the write, so they never hurt their neighbours; if
the database refuses the write all the same, the batch is rolled back and each command goes alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from common.errors import DomainError, NotReady
from common.pg import Connection, Pool, transaction
from prometheus_client import Counter

from ledger.domain import refusals
from ledger.domain.books import Books
from ledger.domain.chart import Chart
from ledger.domain.commands import Command
from ledger.domain.decide import Decision, decide
from ledger.store import books as store
from ledger.store.outcomes import Outcome, PostedEntry, PostedLeg, StoredRefusal, outcomes

log = logging.getLogger(__name__)

NETS_DISAGREED = Counter(
    "ledger_nets_disagreed", "Commands the domain accepted and the database refused: a defect, page someone"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to. `replayed` tells that it was finished before this request."""

    outcome: Outcome | DomainError
    replayed: bool = False


async def commit_batch(pool: Pool, chart: Chart, commands: Sequence[Command]) -> Mapping[UUID, Answer]:
    """Commit distinct `commands` of one ledger and answer each.

    Raises:
        DatabaseUnavailable, asyncpg.TransactionRollbackError: whether it committed is unknown; safe to
            try again, since a command that did commit is found by its id.
    """
    try:
        return await _commit_together(pool, chart, commands)
    except asyncpg.IntegrityConstraintViolationError as broken:
        if len(commands) == 1:
            return {commands[0].id: _guilty(commands[0], broken)}
        log.warning("batch of %d refused by the database, going one by one", len(commands))
    answers: dict[UUID, Answer] = {}
    for command in commands:
        answers |= await commit_batch(pool, chart, [command])
    return answers


def _guilty(command: Command, broken: asyncpg.IntegrityConstraintViolationError) -> Answer:
    NETS_DISAGREED.inc()
    rule = getattr(broken, "constraint_name", None) or "unnamed"
    log.error("the nets disagree: %s by %s broke %s: %s", command.kind, command.principal, rule, broken)
    return Answer(refusals.RefusedByDatabase(f"the entry breaks {rule}", extra={"rule": rule}))


async def _commit_together(pool: Pool, chart: Chart, commands: Sequence[Command]) -> dict[UUID, Answer]:
    async with transaction(pool) as connection:
        return await _commit_on(connection, chart, commands)


async def _commit_on(connection: Connection, chart: Chart, commands: Sequence[Command]) -> dict[UUID, Answer]:
    ledger = commands[0].ledger
    sequence = await store.lock_head(connection, ledger)
    answers = {
        id: _replay(command, finished)
        for id, finished in (await outcomes(connection, ledger, [command.id for command in commands])).items()
        for command in commands
        if command.id == id
    }
    fresh = [command for command in commands if command.id not in answers]
    if not fresh:
        return answers
    decided, refused = _decide_all(fresh, await store.load_books(connection, ledger, chart, fresh), answers)
    if refused:
        await store.write_refusals(connection, refused)
    if decided:
        posted_at = await store.write(connection, sequence, decided)
        for at, decision in enumerate(decided, sequence + 1):
            answers[decision.command.id] = Answer(_as_posted(at, posted_at, decision))
    return answers


def _replay(command: Command, finished: Outcome) -> Answer:
    if finished.fingerprint != command.fingerprint:
        return Answer(refusals.KeyReused(f"key {command.key} was used for another request"))
    return Answer(finished, replayed=True)


def _decide_all(
    commands: Sequence[Command], books: Books, answers: dict[UUID, Answer]
) -> tuple[list[Decision], list[tuple[Command, DomainError]]]:
    decided: list[Decision] = []
    refused: list[tuple[Command, DomainError]] = []
    for command in commands:
        try:
            decided.append(decide(command, books))
        except NotReady as later:
            answers[command.id] = Answer(later)
        except DomainError as why:
            refused.append((command, why))
            answers[command.id] = Answer(StoredRefusal(command.id, command.fingerprint, why))
    return decided, refused


def _as_posted(sequence: int, posted_at: datetime, decision: Decision) -> PostedEntry:
    command = decision.command
    return PostedEntry(
        command.id,
        sequence,
        command.kind,
        command.principal,
        command.key,
        command.fingerprint,
        command.reference,
        dict(command.metadata),
        command.receipt,
        posted_at,
        command.effective_at or posted_at,
        tuple(
            PostedLeg(
                posting.account.path,
                posting.account.currency,
                posting.account.cls.side.value,
                posting.amount,
                posting.account.balance,
                posting.account.sequence,
                posting.hold,
            )
            for posting in decision.postings
        ),
    )
