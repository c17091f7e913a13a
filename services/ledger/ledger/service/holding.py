"""Holds: opened, captured in parts, released, looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from common.pg import Pool, transaction

from ledger.domain import holding, refusals
from ledger.domain.chart import Chart
from ledger.domain.holding import Caller, HoldState, Opening
from ledger.engine import PostedEntry
from ledger.service.posting import Ledger
from ledger.store.holds import hold_state


class Holding:
    """Holds of every ledger this process serves. What never changes of a hold (where its money is, came from
    and is for) is read before the command is made; what remains is decided with the books."""

    def __init__(self, ledger: Ledger, reading: Pool, charts: Mapping[int, Chart]) -> None:
        self._ledger = ledger
        self._reading = reading
        self._charts = charts

    async def hold(self, ledger: int, id: UUID) -> HoldState:
        """Raises NoSuchHold when this ledger has no hold of that id."""
        async with transaction(self._reading, readonly=True) as connection:
            found = await hold_state(connection, ledger, id)
        if found is None:
            raise refusals.NoSuchHold(f"no hold {id}", field="id")
        return found

    async def open(self, caller: Caller, wanted: Opening) -> tuple[PostedEntry, bool]:
        """Set money aside; returns the entry and whether it had been posted before. Raises as `Ledger.post`,
        and TemplateViolation when that kind holds nothing of that account."""
        return await self._ledger.post(holding.open_hold(caller, self._charts[caller.ledger], wanted))

    async def capture(
        self,
        caller: Caller,
        id: UUID,
        kind: str,
        shares: Sequence[tuple[str, Decimal]],
        metadata: Mapping[str, str],
    ) -> tuple[PostedEntry, bool]:
        """Move part of a hold to other accounts. Raises as `Ledger.post`, and NoSuchHold."""
        hold = await self.hold(caller.ledger, id)
        return await self._ledger.post(holding.draw_hold(caller, hold, kind, shares, metadata))

    async def release(
        self, caller: Caller, id: UUID, kind: str, amount: Decimal | None, metadata: Mapping[str, str]
    ) -> tuple[PostedEntry, bool]:
        """Give part of a hold back, or all that remains. Raises as `Ledger.post`, and NoSuchHold."""
        hold = await self.hold(caller.ledger, id)
        return await self._ledger.post(holding.release_hold(caller, hold, kind, amount, metadata))
