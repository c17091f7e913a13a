"""More than the ledger can take: it says so at once, keeps on posting, and loses nothing of either."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import uuid4

import aiohttp
import asyncpg

from loadtests.alone import api_key, ledger_alone
from loadtests.books import LEDGER, account, make_ledger, transfer

MAX_QUEUED = 16
ASKED = 600
PATIENCE_SECONDS = 60.0


async def test_what_does_not_fit_is_refused_at_once_and_fits_later() -> None:
    """Every refusal is 429 with Retry-After and nothing stored; the same key, sent again, is posted."""
    async with ledger_alone(prepare=make_ledger, settings={"MAX_QUEUED": str(MAX_QUEUED)}) as alone:
        key = await api_key(alone.database, "load", "transfer", ledger=LEDGER)
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"}, connector=aiohttp.TCPConnector(limit=0)
        ) as http:
            url = f"{alone.urls[0]}/v1/entries"
            keys = [str(uuid4()) for _ in range(ASKED)]
            statuses: Counter[int] = Counter()

            async def until_posted(asked: str) -> str:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while True:
                        body = transfer("equity/opening", account(0), "1.00")
                        async with http.post(url, json=body, headers={"Idempotency-Key": asked}) as answer:
                            statuses[answer.status] += 1
                            if answer.status == 201:
                                return str((await answer.json())["id"])
                            assert answer.status == 429, await answer.text()
                            assert answer.content_type == "application/problem+json"
                            pause = float(answer.headers["Retry-After"])
                        await asyncio.sleep(pause * 0.2)

            ids = await asyncio.gather(*map(until_posted, keys))
        assert statuses[429] > 0, "it was never too much"
        assert statuses[201] == ASKED == len(set(ids))
        connection = await asyncpg.connect(alone.database.dsn("ledger_reader"))
        try:
            entries, refusals, total = await connection.fetchrow(  # type: ignore[misc] # one row
                "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM refusal), "
                "(SELECT -amount FROM balance JOIN account ON id = account_id WHERE path = $1)",
                account(0),
            )
        finally:
            await connection.close()
        assert (entries, refusals, total) == (ASKED, 0, ASKED)
