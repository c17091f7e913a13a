"""Committing one batch: first from memory in one statement, then whatever is left under the head's lock.

What memory can decide is written by a single statement that finds out by itself whether the ledger has
moved. The rest (refusals, replays, receipts, settlements, and everything when memory was wrong) goes the
long way: lock the head, read, decide, write, in separate statements, because a statement that waits for
a lock does not see what committed meanwhile. Refusals are decided before the write, so they never hurt
their neighbours; if the database refuses the write all the same, the batch is rolled back and goes by
halves, down to the guilty command or linked group.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from common.errors import DomainError, NotReady
from common.pg import Connection, Pool, borrowed, transaction
from prometheus_client import Counter

from ledger.domain import refusals
from ledger.domain.books import Books
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Group
from ledger.domain.decide import Decision, accounts_of
from ledger.domain.groups import LinkRefused, decide_group
from ledger.engine.memory import Memory, Sent
from ledger.store import books as store
from ledger.store import journal
from ledger.store.outcomes import Outcome, PostedEntry, PostedLeg, StoredRefusal, outcomes

log = logging.getLogger(__name__)

NETS_DISAGREED = Counter(
    "ledger_nets_disagreed", "Commands the domain accepted and the database refused: a defect, page someone"
)
WRONG_MEMORIES = Counter(
    "ledger_wrong_memories",
    "Batches decided from memory that had to be decided again under the lock",
    ["why"],
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to. `replayed` tells that it was finished before this request."""

    outcome: Outcome | DomainError
    replayed: bool = False


Answered = dict[UUID, Answer]
"""Answers by command."""

REFUSED = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""How the database refuses what is asked of it: by a rule, or as a value that its columns cannot hold."""


async def from_memory(
    pool: Pool, memory: Memory, groups: Sequence[Group], drafts: Sequence[Decision] = ()
) -> Answered:
    """Commit those of `groups` that memory can decide; none when it turns out to be wrong. `drafts` is what it has
    decided the first of them to be already. What was sent before is in the journal by now, or memory has been forgotten
    since: then it is read anew, and the write finds out if that which was sent comes in between."""
    if not drafts:
        memory.forget_if_full()
    suited = memory.suited(groups[len(drafts) :])
    if not suited and not drafts:
        return {}
    await memory.read(pool, suited)
    decided = [*drafts, *memory.decide(suited)]
    if not decided or memory.head is None:
        return {}
    whole = len(drafts) + len(suited) == len(groups)
    return await write(pool, memory, memory.send(decided, whole=whole))


async def write(pool: Pool, memory: Memory, sent: Sent) -> Answered:
    """Write what was decided from memory, after all that was sent before it; the answers, or none when memory was wrong."""
    try:
        async with borrowed(pool) as connection:
            posted_at = await journal.write(connection, sent.after, sent.decided)
    except (*REFUSED, asyncpg.TransactionRollbackError) as broken:
        WRONG_MEMORIES.labels("refused").inc()
        log.info("a batch decided from memory was refused, going under the lock: %s", broken)
        memory.failed(sent)
        return {}
    except BaseException:
        memory.failed(sent)
        raise
    if posted_at is None:
        WRONG_MEMORIES.labels("moved").inc()
        memory.failed(sent)
        return {}
    memory.landed(sent)
    return {
        decision.command.id: Answer(_as_posted(at, posted_at, decision))
        for at, decision in enumerate(sent.decided, sent.after + 1)
    }


async def under_lock(pool: Pool, memory: Memory, groups: Sequence[Group]) -> Answered:
    """Commit `groups` of distinct commands of one ledger the long way, and answer each command.

    Raises:
        DatabaseUnavailable, asyncpg.TransactionRollbackError: whether it committed is unknown; safe to
            try again, since a command that did commit is found by its id.
    """
    try:
        async with transaction(pool) as connection:
            done = await _commit_on(connection, memory.chart, groups)
    except REFUSED as broken:
        memory.forget()
        if len(groups) == 1:
            return _guilty(groups[0], broken)
        log.warning("batch of %d groups refused by the database, going by halves", len(groups))
    except BaseException:
        memory.forget()
        raise
    else:
        memory.finished(done.answers)
        if done.books and done.after != done.before:  # refusals move nothing
            memory.moved(done.before, done.after, done.books)
        return done.answers
    middle = len(groups) // 2
    first = await under_lock(pool, memory, groups[:middle])
    return {**first, **await under_lock(pool, memory, groups[middle:])}


def _guilty(group: Group, broken: asyncpg.PostgresError) -> dict[UUID, Answer]:
    NETS_DISAGREED.inc()
    rule = getattr(broken, "constraint_name", None) or "unnamed"
    kinds = ", ".join(sorted({command.kind for command in group}))
    log.error("the nets disagree: %s by %s broke %s: %s", kinds, group[0].principal, rule, broken)
    return {
        command.id: Answer(refusals.RefusedByDatabase(f"the entry breaks {rule}", extra={"rule": rule}))
        for command in group
    }


@dataclass(frozen=True, slots=True)
class _Done:
    """What a batch came to. `books` are None when nothing needed deciding."""

    answers: dict[UUID, Answer]
    before: int
    after: int
    books: Books | None


async def commit_on(connection: Connection, chart: Chart, groups: Sequence[Group]) -> dict[UUID, Answer]:
    """The same on a transaction of the caller's, which decides whether it commits."""
    return (await _commit_on(connection, chart, groups)).answers


async def _commit_on(connection: Connection, chart: Chart, groups: Sequence[Group]) -> _Done:
    ledger = groups[0][0].ledger
    before = await store.lock_head(connection, ledger)
    finished = await outcomes(connection, ledger, [command.id for group in groups for command in group])
    answers: dict[UUID, Answer] = {}
    fresh = []
    for group in groups:
        if any(command.id in finished for command in group):
            answers |= _replay(group, finished)
        else:
            fresh.append(group)
    if not fresh:
        return _Done(answers, before, before, None)
    commands = [command for group in fresh for command in group]
    books = await store.load_books(connection, ledger, chart, commands)
    decided, refused = await _decide_and_open(connection, before, fresh, books, answers)
    if refused:
        await journal.write_refusals(connection, refused)
    if decided:
        posted_at = await journal.write(connection, before, decided)
        if posted_at is None:
            raise asyncpg.SerializationError("the head moved under its own lock")
        for at, decision in enumerate(decided, before + 1):
            answers[decision.command.id] = Answer(_as_posted(at, posted_at, decision))
    return _Done(answers, before, before + len(decided), books)


async def _decide_and_open(
    connection: Connection, head: int, groups: Sequence[Group], books: Books, answers: dict[UUID, Answer]
) -> tuple[list[Decision], list[tuple[Command, DomainError]]]:
    """Decide `groups`, having opened the accounts that are new. Who is refused, or has to wait, opens none: what names new
    accounts is decided beforehand as if they were open."""
    new = books.unopened()
    if not new:
        return _decide_all(groups, books, answers)
    decided, refused = _decide_all(groups, books.trial(), answers)
    posted = {decision.command.id for decision in decided}
    for key in new:
        del books.accounts[key]
    opened = await store.open_accounts(
        connection, groups[0][0].ledger, head, new & accounts_of(decided), books.chart
    )
    books.accounts.update(opened)
    decided, late = _decide_all([group for group in groups if group[0].id in posted], books, answers)
    return decided, refused + late


def _replay(group: Group, finished: Mapping[UUID, Outcome]) -> dict[UUID, Answer]:
    """What became of a group that came before. One that is only partly the same is another request."""
    same = all(
        command.id in finished and finished[command.id].fingerprint == command.fingerprint
        for command in group
    )
    if same:
        return {command.id: Answer(finished[command.id], replayed=True) for command in group}
    used = next(command for command in group if command.id in finished)
    reused = refusals.KeyReused(f"key {used.key} was used for another request")
    return {command.id: Answer(reused) for command in group}


def _decide_all(
    groups: Sequence[Group], books: Books, answers: dict[UUID, Answer]
) -> tuple[list[Decision], list[tuple[Command, DomainError]]]:
    decided: list[Decision] = []
    refused: list[tuple[Command, DomainError]] = []
    for group in groups:
        try:
            decided += decide_group(group, books)
        except NotReady as later:
            answers |= {command.id: Answer(later) for command in group}
        except LinkRefused as no:
            refused += [(command, no.verdict(command)) for command in group]
        except DomainError as why:
            refused.append((group[0], why))
    answers |= {
        command.id: Answer(StoredRefusal(command.id, command.fingerprint, why)) for command, why in refused
    }
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
        command.reverses,
        command.link,
    )
