"""Two posting processes, killed by SIGKILL at any moment: linked entries are there whole or not at all, each once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

from common.testing import Database

from services.ledger.tests.shop import CASH, open_shop
from services.ledger.tests.vocabulary import assert_sound, connected, posted

ROOT = Path(__file__).resolve().parents[3]
GROUPS, LIVES = 300, 8


async def test_linked_entries_survive_whole_or_not_at_all(database: Database) -> None:
    async with AsyncExitStack() as stack:
        shop = await open_shop(database, stack)
        for lane in range(2):
            assert posted(await shop.engine.post(shop.transfer(CASH, f"liabilities/{lane}-0", "5.00")))
        readers = [await stack.enter_async_context(connected(database, "ledger_reader")) for _ in range(2)]
        dice, killed, halves = random.Random(5), 0, 0

        async def keep_posting(lane: int) -> None:
            nonlocal killed, halves
            for life in range(LIVES + 1):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "services.ledger.tests.posting", database.dsn("ledger_posting"),
                    str(shop.ledger), str(lane), str(GROUPS), cwd=ROOT, env=dict(os.environ),
                )  # fmt: skip
                before = await posted_so_far(lane)
                while life < LIVES and process.returncode is None and await posted_so_far(lane) == before:
                    await asyncio.sleep(0.005)  # until it has begun
                if life < LIVES:
                    await asyncio.sleep(dice.random() / 10)
                    if process.returncode is None:
                        process.kill()
                        killed += 1
                code = await process.wait()
                assert code in (0, -signal.SIGKILL), code
                halves += 0 < await posted_so_far(lane) < GROUPS * 3
                if code == 0:
                    return
            raise AssertionError("it never ended")

        async def posted_so_far(lane: int) -> int:
            assert not await readers[lane].fetch(
                "SELECT link FROM entry WHERE link IS NOT NULL GROUP BY link, links HAVING count(*) <> links"
            )
            found = await readers[lane].fetchval(
                "SELECT count(*) FROM entry WHERE reference = $1", f"circles/{lane}"
            )
            return int(found)

        await asyncio.gather(keep_posting(0), keep_posting(1))
        assert killed > 0
        assert halves > 0, "no life was ended in the middle"
        async with connected(database, "ledger_reader") as connection:
            await assert_sound(connection)
            keys = await connection.fetchval(
                "SELECT count(DISTINCT idempotency_key) FROM entry WHERE link IS NOT NULL"
            )
            assert keys == await connection.fetchval("SELECT count(*) FROM entry WHERE link IS NOT NULL")
            assert keys == 2 * GROUPS * 3
        balances = await shop.balances()
        assert [balances[f"liabilities/{lane}-0", "USD"] for lane in range(2)] == [Decimal(5)] * 2
