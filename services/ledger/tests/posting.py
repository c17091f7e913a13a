"""A process that posts linked groups under known keys, as fast as it can.

`python -m services.ledger.tests.posting DSN LEDGER LANE GROUPS`: every key names its lane, group and place, so a process
that comes after a killed one asks for exactly the same. Ends with 0 when every group has its answer.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from common.pg import create_pool
from ledger.domain.commands import Command, Group, Leg, linked
from ledger.engine import PostingEngine
from ledger.store.chart import load_chart

from services.ledger.tests.vocabulary import PRINCIPAL, posted


def group(ledger: int, lane: int, number: int) -> Group:
    """Three transfers around a circle; linked, they leave every balance where it was."""
    circle = [f"liabilities/{lane}-{place}" for place in range(3)]
    return linked(
        [
            Command(
                ledger,
                PRINCIPAL,
                f"{lane}.{number}.{place}",
                "transfer",
                (Leg(debit, "USD", Decimal(5)), Leg(circle[(place + 1) % 3], "USD", Decimal(-5))),
                f"circles/{lane}",
            )
            for place, debit in enumerate(circle)
        ]
    )


async def main(dsn: str, ledger: int, lane: int, groups: int) -> None:
    """Post them all, twenty at a time."""
    pool = await create_pool(dsn, min_size=1, max_size=2, application_name="posting")
    async with pool.acquire() as connection:
        engine = PostingEngine(pool, ledger, await load_chart(connection, ledger))
    engine.start()
    for first in range(0, groups, 20):
        answers = await engine.post_groups(
            [group(ledger, lane, number) for number in range(first, min(first + 20, groups))]
        )
        if not all(posted(answer) for each in answers for answer in each):
            sys.exit(3)
    await engine.close()
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
