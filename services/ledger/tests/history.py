"""A time machine: what was posted is moved into the past, as only a superuser can."""

from __future__ import annotations

from datetime import timedelta

from common.testing import Database

from services.ledger.tests.vocabulary import connected


async def age(database: Database, by: timedelta) -> None:
    """As if everything so far had been posted that much earlier."""
    async with connected(database, "superuser") as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE entry SET posted_at = posted_at - $1::interval, effective_at = effective_at - $1::interval",
            by,
        )
        await connection.execute("UPDATE head SET settled_at = settled_at - $1::interval", by)
