"""A worker in a process of its own that may die by SIGKILL after an effect, before its transaction commits.

`python -m libs.common.tests.deadline_worker DSN SEED CHANCE`; ends with 0 when nothing is due any more.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys

from common.deadlines import Deadline, DeadlineWorker, Handler
from common.pg import Connection, create_pool


async def main(dsn: str, seed: int, chance: float) -> None:
    """Handle what is due, and perhaps die of it."""
    dice = random.Random(seed)

    async def lock(conn: Connection, deadline: Deadline) -> None:
        await conn.execute("SELECT FROM thing WHERE subject = $1 FOR UPDATE", deadline.subject)

    async def effect(conn: Connection, deadline: Deadline) -> None:
        await conn.execute(
            "INSERT INTO fired (subject, generation) VALUES ($1, $2)", deadline.subject, deadline.generation
        )
        if dice.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="deadline-worker")
    worker = DeadlineWorker(pool, {"expiry": Handler(lock, effect)}, batch=10)
    while await worker.turn():
        pass
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
