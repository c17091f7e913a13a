"""Correcting: what was booked is never changed, it is mirrored, once and whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from common.pg import Pool, transaction

from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.domain.commands import Command
from ledger.domain.holding import Caller
from ledger.engine import PostedEntry
from ledger.service.posting import Ledger
from ledger.store.outcomes import entries


class Correcting:
    """Reversals in every ledger this process serves."""

    def __init__(self, ledger: Ledger, reading: Pool, charts: Mapping[int, Chart]) -> None:
        self._ledger = ledger
        self._reading = reading
        self._charts = charts

    async def reverse(
        self, caller: Caller, id: UUID, effective_at: datetime | None, metadata: Mapping[str, str]
    ) -> tuple[PostedEntry, bool]:
        """Post the mirror of an entry; returns it and whether it had been posted before.

        Raises:
            NoSuchEntry: this ledger has no entry of that id.
            UnknownKind: this ledger's chart has no reversals.
            NotReversible, AlreadyReversed and whatever else `Ledger.post` raises.
        """
        async with transaction(self._reading, readonly=True) as connection:
            found = await entries(connection, caller.ledger, [id])
        if not found:
            raise refusals.NoSuchEntry(f"no entry {id}", field="id")
        kind = self.kind(caller.ledger)
        return await self._ledger.post(
            Command(
                caller.ledger,
                caller.principal,
                caller.key,
                kind,
                (),
                found[0].reference,
                metadata,
                effective_at=effective_at,
                traceparent=caller.traceparent,
                reverses=id,
            )
        )

    def kind(self, ledger: int) -> str:
        """The kind of that ledger's reversals. Raises UnknownKind when it has none."""
        kind = self._charts[ledger].mirror
        if kind is None:
            raise refusals.UnknownKind("this ledger reverses nothing", field="id")
        return kind
