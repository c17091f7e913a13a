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


_CLOSES = ("period_close", "close_balance", "close_total", "close_proof")


async def a_day_passes(database: Database, ledger: int) -> None:
    """As if everything so far in that ledger, its closed days with it, had happened a day earlier."""
    async with connected(database, "superuser") as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE entry SET posted_at = posted_at - interval '1 day', effective_at = effective_at - interval '1 day'"
            " WHERE ledger_id = $1",
            ledger,
        )
        await connection.execute(
            "UPDATE head SET settled_at = settled_at - interval '1 day',"
            " closed_until = CASE WHEN closed_until < '1900-01-01' THEN closed_until ELSE closed_until - interval '1 day' END"
            " WHERE ledger_id = $1",
            ledger,
        )
        for room in reversed(_CLOSES):  # a month begins on its first day only: it will be closed again
            await connection.execute(f"DELETE FROM {room} WHERE ledger_id = $1 AND period = 'month'", ledger)
        for room in _CLOSES:
            for days in (
                10_000,
                -10_001,
            ):  # by way of a time where none of them is: their days are their keys
                await connection.execute(
                    f"UPDATE {room} SET starts_on = starts_on + $2::integer WHERE ledger_id = $1",
                    ledger,
                    days,
                )
        await connection.execute(
            "UPDATE period_close SET ends_at = ends_at - interval '1 day' WHERE ledger_id = $1", ledger
        )
