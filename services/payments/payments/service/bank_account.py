"""Reconciling our bank account: the rail's statement of it against the ledger's, when a cashier or auditor asks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from common import pg

from payments.domain.accounts import BANK
from payments.domain.bank_account import ZERO, Movement, Report, compare
from payments.ledger import BankLine, Ledger
from payments.rail import Rail
from payments.store.bank_account import keys_of

OTHER_MEANS: Final = frozenset({"card.settle", "house.fund"})
"""Kinds of entry that move money on the account, and not by orders or abonos of this rail."""
SLACK: Final = timedelta(days=1)
"""What the rail did before the time asked for and the ledger booked in it is looked for so far back."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The comparison, and what came by other means, by kind of entry."""

    since: datetime
    until: datetime
    report: Report
    other_means: Mapping[str, Decimal]


class BankAccount:
    """Compares both statements of one account."""

    def __init__(self, pool: pg.Pool, ledger: Ledger, rail: Rail) -> None:
        self._pool = pool
        self._ledger = ledger
        self._rail = rail

    async def reconcile(self, since: datetime, until: datetime) -> Reconciled:
        """What either side has of that time that the other has not.

        What the rail did until then may be booked later, and what was booked since may have happened before: so the
        other side is looked at beyond the time asked for, and only what belongs to it is reported.

        Raises `RailSilent`, `RemoteProblem`, `Unreachable`.
        """
        theirs = await self._rail.statement(since - SLACK, until)
        lines = await self._ledger.bank_lines(BANK, since - SLACK)
        ours, other = await self._named(lines)
        in_time = {each.key for each in theirs if each.at >= since}
        in_time |= {each.key for each in ours if since <= each.at <= until}
        report = compare(
            [each for each in ours if each.key in in_time], [each for each in theirs if each.key in in_time]
        )
        return Reconciled(since, until, report, other)

    async def _named(self, lines: Sequence[BankLine]) -> tuple[list[Movement], Mapping[str, Decimal]]:
        async with pg.transaction(self._pool, readonly=True) as conn:
            keys = await keys_of(conn, [(line.kind, line.reference) for line in lines])
        ours, other = [], defaultdict[str, Decimal](lambda: ZERO)
        for line in lines:
            if line.kind in OTHER_MEANS:
                other[line.kind] += line.amount
                continue
            # What refers to nothing of ours keeps its own name, so that it shows as what no statement has.
            key = keys.get((line.kind, line.reference), f"{line.kind}:{line.reference}")
            ours.append(Movement(key, line.amount, line.posted_at, f"{line.kind} {line.reference}"))
        return ours, dict(other)
