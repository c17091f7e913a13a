"""Making seals, beside the posting and never in its way: the journal is read without a lock, for what can be
read is committed and whole. Two sealers at once do no harm: a number is given once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import asyncpg
from common.pg import Connection, Pool, transaction
from prometheus_client import Counter, Gauge

from ledger.domain.seals import NOTHING_BEFORE, SealedEntry, Statement, merkle_root
from ledger.sealing.keys import SealingKeys
from ledger.store import seals as store
from ledger.store.chart import ledgers

log = logging.getLogger(__name__)

SEALED = Counter("ledger_sealed_entries", "Entries sealed.", ("ledger",))
UNSEALED = Gauge("ledger_unsealed_entries", "Entries that no seal covers yet.", ("ledger",))


class JournalIncomplete(Exception):
    """Entries below the head are missing: somebody has tampered with the journal."""


class Sealer:
    """Seals what has been posted since the last seal, in runs of at most `max_run` entries."""

    def __init__(self, pool: Pool, keys: Callable[[], SealingKeys], *, max_run: int) -> None:
        """`keys` are asked for at each round, so that a new key needs no restart."""
        self._pool = pool
        self._keys = keys
        self._max_run = max_run

    async def seal_due(self) -> Sequence[Statement]:
        """Seal everything that is posted by now, in every ledger; returns the seals made.

        Raises:
            Unavailable: no database, or not the key of the day.
            JournalIncomplete: a page is missing from the journal; nothing was sealed over it.
        """
        keys = self._keys()
        async with transaction(self._pool, readonly=True) as connection:
            known = await ledgers(connection)
        made: list[Statement] = []
        for name, ledger in known.items():
            while statement := await self._seal_next(keys, ledger, name):
                made.append(statement)
        return made

    async def _seal_next(self, keys: SealingKeys, ledger: int, name: str) -> Statement | None:
        """Seal one run; None when there is nothing to seal, or another sealer was first."""
        try:
            async with transaction(self._pool, isolation="repeatable_read") as connection:
                statement = await self._statement(connection, keys, ledger, name)
                if statement is not None:
                    signature = keys.sign(statement.key, statement.signing_bytes())
                    await store.add_seal(connection, ledger, statement, signature)
        except asyncpg.UniqueViolationError:
            log.info("another sealer was first")
            return None
        if statement is not None:
            SEALED.labels(name).inc(statement.last - statement.first + 1)
        return statement

    async def _statement(
        self, connection: Connection, keys: SealingKeys, ledger: int, name: str
    ) -> Statement | None:
        before = await store.last_seal(connection, ledger)
        head = await store.head_sequence(connection, ledger)
        first = before.last + 1 if before else 1
        UNSEALED.labels(name).set(head - first + 1)
        last = min(head, first + self._max_run - 1)
        if last < first:
            return None
        entries = await store.journal(connection, ledger, first, last)
        check_whole(entries, first, last)
        return Statement(
            name,
            before.number + 1 if before else 1,
            first,
            last,
            merkle_root([entry.leaf() for entry in entries]),
            before.hash if before else NOTHING_BEFORE,
            await keys.current(connection, ledger),
            datetime.now(UTC),
        )


def check_whole(entries: Sequence[SealedEntry], first: int, last: int) -> None:
    """Raises `JournalIncomplete` unless these are all the entries of the run."""
    if [entry.sequence for entry in entries] != list(range(first, last + 1)):
        raise JournalIncomplete(f"the journal lacks entries between {first} and {last}")
