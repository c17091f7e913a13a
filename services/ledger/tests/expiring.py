"""A process that lets due holds expire and may die by SIGKILL after any of them, before its commit.

`python -m services.ledger.tests.expiring DSN LEDGER SEED CHANCE`; ends with 0 when nothing is due any more.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys

from common.deadlines import Deadline, DeadlineWorker, Handler
from common.pg import Connection, create_pool
from ledger.expiry import KIND, expiry
from ledger.store.chart import load_chart


async def main(dsn: str, ledger: int, seed: int, chance: float) -> None:
    """Expire what is due, and perhaps die of it."""
    dice = random.Random(seed)
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="expiring")
    async with pool.acquire() as connection:
        usual = expiry({ledger: await load_chart(connection, ledger)})

    async def effect(connection: Connection, deadline: Deadline) -> None:
        await usual.effect(connection, deadline)
        if dice.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    worker = DeadlineWorker(pool, {KIND: Handler(usual.lock, effect)}, batch=8)
    while await worker.turn():
        pass
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
