"""What must hold: at every look, and in the end.

Each check reads the databases as an auditor would and names what is wrong; none is all there is to say for sound
books.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import asyncpg

from tools.stack.described import Stack


class Unsound(Exception):
    """An invariant does not hold."""


LEDGER_ALWAYS = {
    "the ledger balances": "SELECT 1 FROM balance JOIN account ON id = account_id GROUP BY currency HAVING sum(amount) <> 0",
    "no player is below zero": """
        SELECT path FROM account JOIN balance ON account_id = id
         WHERE path LIKE 'players/%' AND amount * account.side < 0""",
    "each balance is the sum of its postings": """
        SELECT a.path FROM account a JOIN balance b ON b.account_id = a.id
         WHERE b.amount <> coalesce((SELECT sum(amount) FROM posting p WHERE p.account_id = a.id), 0)""",
    "credits are distinct attested receipts": """
        SELECT e.sequence FROM entry e JOIN kind k ON k.name = e.kind AND k.chart = 'el-carril'
         LEFT JOIN receipt_use u ON u.ledger_id = e.ledger_id AND u.sequence = e.sequence
         WHERE k.receipt AND u.receipt_id IS NULL""",
    "a receipt is spent once": "SELECT receipt_id FROM receipt_use GROUP BY receipt_id HAVING count(*) > 1",
    "what is held is what holds say": """
        SELECT 1 WHERE (SELECT coalesce(sum(-b.amount), 0) FROM balance b JOIN account a ON a.id = b.account_id
                         WHERE a.requires_hold) <> (SELECT coalesce(sum(remaining), 0) FROM hold)""",
}
"""By what it says: a query that finds what contradicts it, in the ledger's database."""

PAYMENTS_ALWAYS = {
    "no deadline was early": "SELECT subject FROM deadline WHERE state = 'DONE' AND ended_at < due_at",
    "no deadline was met twice": """
        SELECT subject FROM deadline WHERE state = 'DONE' GROUP BY subject, kind HAVING count(*) > 1""",
    "a transfer is credited once": """
        SELECT tracking_key FROM deposit WHERE state IN ('ATTESTED', 'BOOKED') GROUP BY tracking_key HAVING count(*) > 1""",
    "refunds stay within captures": "SELECT id FROM card_payment WHERE refunding > captured",
    "captures stay within authorizations": "SELECT id FROM card_payment WHERE capturing > amount",
    "an object is one operation": """
        SELECT psp_id FROM card_operation WHERE psp_id IS NOT NULL GROUP BY psp_id HAVING count(*) > 1""",
    "a conflict has a case": """
        SELECT o.id FROM card_operation o WHERE o.state = 'CONFLICTED'
           AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = o.id
                           OR c.subject_id IN (SELECT receipt_id FROM proof p WHERE p.subject_id = o.id))""",
    "no state goes back": """
        WITH steps AS (SELECT subject_id, state, id,
                              lag(state) OVER (PARTITION BY subject_id ORDER BY id) AS before
                         FROM history WHERE subject = 'withdrawal')
        SELECT s.subject_id FROM steps s
         WHERE s.before IS NOT NULL AND s.before <> s.state
           AND NOT EXISTS (SELECT FROM withdrawal_step w WHERE w.before = s.before AND w.after = s.state)""",
}
"""The same, in payments' database."""

PAYMENTS_DRAINED = {
    "nothing is unknown without a person": """
        SELECT id FROM card_operation o WHERE state IN ('REQUESTED', 'RESERVED', 'SENDING', 'UNKNOWN', 'PENDING', 'CONFIRMED',
               'REVERSING') AND NOT (act IN ('authorize', 'void') AND state = 'CONFIRMED')
           AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = o.id)
        UNION ALL
        SELECT id FROM withdrawal w WHERE state IN ('REQUESTED', 'RESERVED', 'APPROVED', 'SENDING', 'SEND_UNKNOWN', 'SENT',
               'LIQUIDATED', 'REJECTED', 'RETURNING') AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = w.id)
        UNION ALL
        SELECT id FROM deposit d WHERE state IN ('CLAIMED', 'VERIFYING', 'NOT_FOUND_YET', 'ATTESTED')
        UNION ALL
        SELECT id FROM arrival a WHERE state IN ('NOTED', 'ASSIGNING', 'RETURN_SENDING', 'RETURN_UNKNOWN',
               'RETURN_SENT', 'RETURNING') AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = a.id
                                                           AND c.state <> 'DECIDED')
        UNION ALL
        SELECT receipt_id FROM proof WHERE state IN ('ASKED', 'ATTESTED')""",
    "no webhook is unread": "SELECT id FROM webhook WHERE state = 'RECEIVED'",
    "nothing is left to be told": "SELECT event_id FROM outbox",
    "every quarantined deposit has a case": """
        SELECT id FROM deposit d WHERE state = 'QUARANTINED' AND reason <> 'name-differs'
           AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = d.id)""",
    "another person's money goes to suspense": """
        SELECT id FROM deposit d WHERE state = 'QUARANTINED' AND reason = 'name-differs'""",
    "what is paid out gets cleared": """
        SELECT id FROM card_operation WHERE act = 'capture' AND state = 'SETTLED' AND stands_in = 'available'""",
    "what disputes do to the books is booked": """
        SELECT dispute_id FROM dispute_entry_due
        UNION ALL
        SELECT dispute_id FROM dispute_entry WHERE booked_at IS NULL
        UNION ALL
        SELECT dispute_id FROM dispute_recovery WHERE state = 'ASKED'""",
    "what no settlement file has was asked about": """
        SELECT o.id FROM card_operation o
         WHERE o.act IN ('capture', 'refund') AND o.state = 'BOOKED'
           AND EXISTS (SELECT FROM payout_file f WHERE f.imported_at > o.requested_at)
           AND NOT EXISTS (SELECT FROM payout_line l WHERE l.operation_id = o.id)
           AND NOT EXISTS (SELECT FROM review_case c WHERE c.subject_id = o.id AND c.reason = 'MISSING_EXTERNAL')""",
}
"""What must hold once everything has come to rest."""


@dataclass
class Auditor:
    """Looks again and again while the day goes on."""

    stack: Stack
    looks: int = 0
    broken: list[str] = field(default_factory=list)

    async def watch(self, stop: asyncio.Event) -> None:
        """Look until told to stop. What it finds is kept, and ends the run."""
        while not stop.is_set():
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.5)

    async def look(self) -> None:
        """One look at everything that must always hold."""
        found = [*await contradictions(self.stack["dsn"]["ledger_reader"], LEDGER_ALWAYS),
                 *await contradictions(self.stack["dsn"]["payments_app"], PAYMENTS_ALWAYS)]  # fmt: skip
        self.looks += 1
        self.broken += found

    def verdict(self) -> None:
        """Raises `Unsound`."""
        if self.broken:
            raise Unsound("; ".join(dict.fromkeys(self.broken)))


async def contradictions(dsn: str, checks: Mapping[str, str]) -> list[str]:
    """What does not hold, each with what contradicts it. All of it is read at one moment."""
    connection = await asyncpg.connect(dsn, timeout=5)
    found = []
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for says, query in checks.items():
                rows = await connection.fetch(f"{query} LIMIT 3" if "UNION" not in query else query)
                if rows:
                    found.append(f"it is not so that {says}: {[tuple(map(str, row)) for row in rows[:3]]}")
    finally:
        await connection.close()
    return found


def superuser(stack: Stack, database: str) -> str:
    """The auditor's way into a database."""
    dsn: str = stack["postgres"]["superuser_dsn"]
    base, _, _ = dsn.rpartition("/")
    return f"{base}/{database}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the card provider's truth and our books do not agree on."""

    label: str
    ours: Decimal
    theirs: Decimal
    explained_by: str | None


async def compare_with_truth(stack: Stack, truth: Mapping[str, Any]) -> list[Difference]:
    """Object by object, what the provider has really moved against what we have booked.

    What they do not agree on must be explained: by a conflict, by a case of the operation, or by a break in a
    settlement file. What is not is the residual, and must be nothing.
    """
    connection = await asyncpg.connect(superuser(stack, "payments"))
    try:
        booked = {
            row["psp_id"]: row
            for row in await connection.fetch(
                """
                SELECT o.id, o.psp_id, o.state, CASE
                         WHEN act = 'capture' AND state IN ('BOOKED', 'SETTLED', 'CLEARED') THEN amount
                         WHEN act = 'refund' AND state = 'BOOKED' THEN -amount ELSE 0 END AS ours
                  FROM card_operation o WHERE psp_id IS NOT NULL
                """
            )
        }
        keys = {str(row["id"]): row for row in await connection.fetch("SELECT id, state FROM card_operation")}
        cases = {
            str(row["subject_id"]): row["reason"]
            for row in await connection.fetch("SELECT subject_id, reason FROM review_case")
        }
        breaks = {
            row["psp_id"]: row["break_class"]
            for row in await connection.fetch(
                "SELECT psp_id, break_class FROM payout_line WHERE break_class IS NOT NULL"
            )
        }
    finally:
        await connection.close()
    found = []
    for thing in truth["things"]:
        row = booked.get(thing["id"])
        ours, theirs = Decimal(row["ours"] if row else 0), Decimal(thing["moved"])
        if ours == theirs:
            continue
        operation = keys.get(thing["key"])
        explained = breaks.get(thing["id"]) or cases.get(thing["key"])
        if operation is not None and operation["state"] == "CONFLICTED":
            explained = explained or "CONFLICTED"
        found.append(Difference(thing["label"], ours, theirs, explained))
    return found
