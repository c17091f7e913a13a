"""Moments: how far the journal reached, and what a moment in time means in it."""

from __future__ import annotations

from datetime import datetime

from common.pg import Connection


async def head(connection: Connection, ledger: int) -> int:
    """The last sequence of the ledger, as far as this transaction sees it."""
    sequence: int = await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = $1", ledger)
    return sequence


async def settle_moment(connection: Connection, ledger: int, moment: datetime) -> int | None:
    """The last sequence posted by `moment`, for ever; None when the moment has not come.

    Writes (the head's settled moment) and waits for a writer in flight, so it needs the primary.
    """
    sequence: int | None = await connection.fetchval("SELECT settle_moment($1, $2)", ledger, moment)
    return sequence


async def account_sequence_at(connection: Connection, account_id: int, sequence: int) -> int:
    """How many postings the account had at `sequence`."""
    found: int = await connection.fetchval("SELECT account_sequence_at($1, $2)", account_id, sequence)
    return found
