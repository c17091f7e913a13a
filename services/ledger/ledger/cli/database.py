"""The database as an operator's command uses it: one connection at a time, with time for long statements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from common.errors import Invalid
from common.pg import Pool, create_pool, transaction

from ledger.settings import OperatorSettings
from ledger.store.chart import ledgers

LONGEST_STATEMENT_SECONDS = 3_600


@asynccontextmanager
async def database(command: str) -> AsyncIterator[Pool]:
    """A pool on DATABASE_DSN, named after the command.

    Raises:
        DatabaseUnavailable: it cannot be reached.
    """
    limit_ms = LONGEST_STATEMENT_SECONDS * 1_000
    pool = await create_pool(
        OperatorSettings().database_dsn.get_secret_value(),
        min_size=1,
        max_size=2,
        application_name=f"ledger-{command}",
        statement_timeout_ms=limit_ms,
        lock_timeout_ms=limit_ms,
        idle_in_transaction_timeout_ms=limit_ms,
    )
    try:
        yield pool
    finally:
        await pool.close()


async def named_ledgers(pool: Pool, name: str | None) -> Mapping[str, int]:
    """Every ledger's id by name, or only that one's. Raises `Invalid` when there is none of that name."""
    async with transaction(pool, readonly=True) as connection:
        known = await ledgers(connection)
    if name is None:
        return known
    if name not in known:
        raise Invalid(f"no ledger {name}", field="ledger")
    return {name: known[name]}
