"""Holds that are due go back of themselves: the ledger's durable deadlines.

The journal's triggers arm a deadline with the hold that carries one and cancel it when the hold is drawn to
nothing. What is due is posted here, in the ledger's own name, in the transaction that ends the deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from common.deadlines import Deadline, Handler
from common.pg import Connection

from ledger.domain.chart import Chart
from ledger.domain.commands import Command
from ledger.domain.derived import CLOCK
from ledger.engine import PostedEntry
from ledger.engine.batch import commit_on
from ledger.store.books import lock_head
from ledger.store.holds import hold_state

KIND = "hold.expire"


class ExpiryRefused(Exception):
    """A hold that is due would not go back: a defect."""


def expiry(charts: Mapping[int, Chart]) -> Handler:
    """The handler of due holds. Whoever opens or draws a hold does so under its ledger's head."""

    async def lock(connection: Connection, deadline: Deadline) -> None:
        await lock_head(connection, _ledger_and_hold(deadline)[0])

    async def effect(connection: Connection, deadline: Deadline) -> None:
        ledger, id = _ledger_and_hold(deadline)
        hold = await hold_state(connection, ledger, id)
        if hold is None or not hold.remaining:
            return
        command = expiring(ledger, charts[ledger], id, hold.reference)
        answer = (await commit_on(connection, charts[ledger], [(command,)]))[command.id]
        if not isinstance(answer.outcome, PostedEntry):
            raise ExpiryRefused(f"hold {id}: {answer.outcome}")

    return Handler(lock, effect)


def expiring(ledger: int, chart: Chart, hold: UUID, reference: str) -> Command:
    """The command by which all that remains of a hold goes back where it came from."""
    if chart.expiry is None:
        raise LookupError(f"no hold of {chart.name} expires")
    return Command(ledger, CLOCK, f"expired:{hold}", chart.expiry, (), reference, drains=hold)


def _ledger_and_hold(deadline: Deadline) -> tuple[int, UUID]:
    _, ledger, hold = deadline.subject.split("/")
    return int(ledger), UUID(hold)
