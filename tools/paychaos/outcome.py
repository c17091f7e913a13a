"""What a day ended in, under names that are the same in every run: what the final hash is over."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import asyncpg

from tools.paychaos.checks import superuser
from tools.stack.described import Stack

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
OBJECT = re.compile(r"op_[0-9a-f]{24}")

PAYMENTS = {
    "cards": "SELECT card_token, state, captured::text, refunding::text FROM card_payment",
    "operations": """
        SELECT p.card_token || ':' || o.act || ':' || o.amount, o.state,
               CASE WHEN o.state IN ('CONFLICTED', 'FAILED', 'RELEASED') THEN o.reason END
          FROM card_operation o JOIN card_payment p ON p.id = o.payment_id""",
    "deposits": "SELECT clave, player::text, state FROM deposit",
    "arrivals": "SELECT clave, state FROM arrival",
    "withdrawals": "SELECT player::text, amount::text, rail, state, reason FROM withdrawal",
    "breaks": "SELECT kind, amount::text, break_class FROM payout_line WHERE break_class IS NOT NULL",
    "receipts": "SELECT purpose, rail, account, amount::text, state FROM proof",
    # What a player had paid in when a case about them was opened depends on which of two payments was there first.
    "cases": """
        SELECT subject, reason, CASE WHEN subject <> 'player' THEN amount::text END, state, decision FROM review_case""",
}
LEDGER = {
    "entries": """
        SELECT e.kind, string_agg(a.path || ' ' || trim_scale(p.amount), ', ' ORDER BY p.amount, a.path)
          FROM entry e JOIN posting p ON p.ledger_id = e.ledger_id AND p.sequence = e.sequence
          JOIN account a ON a.id = p.account_id GROUP BY e.ledger_id, e.sequence, e.kind""",
    "balances": "SELECT path, trim_scale(amount)::text FROM account JOIN balance ON account_id = id WHERE amount <> 0",
}


async def outcome(stack: Stack, players: Mapping[str, str]) -> dict[str, Any]:
    """Everything that came of the day, in no order of time. `players` maps ids to names."""
    books: dict[str, Any] = {}
    for database, queries in (("payments", PAYMENTS), ("ledger", LEDGER)):
        connection = await asyncpg.connect(superuser(stack, database))
        try:
            for name, query in queries.items():
                rows = await connection.fetch(query)
                books[name] = sorted([_named(value, players) for value in row] for row in rows)
        finally:
            await connection.close()
    return books


def digest(books: Mapping[str, Any]) -> str:
    """The final hash."""
    return hashlib.sha256(json.dumps(books, sort_keys=True).encode()).hexdigest()


def _named(value: str | None, players: Mapping[str, str]) -> str:
    """Ids of players by their names; any other id is new in every run and says nothing."""
    text = ID.sub(lambda found: players.get(found[0], "id"), value or "")
    return OBJECT.sub("object", text)
