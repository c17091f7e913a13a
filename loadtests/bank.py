"""Players with money in a throw-away stack, for measurements that post.

Their receipts are stored under the receipts process's own role; everything after that goes through the
ledger's front door.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg

from tools.stack.described import Stack

STAKE = "1.00"
FUNDS = "1000000.00"


async def ledger_key(stack: Stack, principal: str, *kinds: str) -> str:
    """A fresh API key for `principal`, through the ledger's own key command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "keys", "create", "--name", principal, "--kinds",
        ",".join(kinds), stdout=asyncio.subprocess.PIPE, env=os.environ | {"DATABASE_DSN": stack["dsn"]["ledger_keys"]},
    )  # fmt: skip
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("the ledger made no key")
    return told.decode().strip()


async def fund_players(stack: Stack, key: str, count: int) -> list[str]:
    """That many new players with `FUNDS` each."""
    players = [str(uuid4()) for _ in range(count)]
    receipts = {player: uuid4() for player in players}
    connection = await asyncpg.connect(stack["dsn"]["ledger_receipts"])
    try:
        await connection.executemany(
            """
            INSERT INTO receipt (id, ledger_id, rail, tracking_key, document_sha256, purpose, account, amount, currency,
                                 occurred_at, key_id, attestation, signature)
            VALUES ($1, 1, 'spei', $2, sha256($2::text::bytea), 'deposit', $3, $4::text::numeric, 'MXN', now(), 'load', 'load',
                    decode(repeat('00', 64), 'hex'))
            """,
            [(receipts[p], p.upper(), f"players/{p}/available", FUNDS) for p in players],
        )
    finally:
        await connection.close()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http:
        gate = asyncio.Semaphore(64)

        async def deposit(player: str) -> None:
            body = {
                "kind": "deposit",
                "reference": f"deposits/{receipts[player]}",
                "receipt": str(receipts[player]),
                "postings": [
                    {"account": "bank/spei", "side": "debit", "amount": FUNDS, "currency": "MXN"},
                    {
                        "account": f"players/{player}/available",
                        "side": "credit",
                        "amount": FUNDS,
                        "currency": "MXN",
                    },
                ],
            }
            url, headers = (
                f"{stack['urls']['ledger']}/v1/entries",
                {"Idempotency-Key": f"load:{receipts[player]}"},
            )
            async with gate, http.post(url, json=body, headers=headers) as answer:
                answer.raise_for_status()

        await asyncio.gather(*(deposit(player) for player in players))
    return players


def hold_body(player: str, market: str, hold: str) -> dict[str, Any]:
    """The body of one hold of `STAKE`."""
    return {
        "kind": "bet.hold",
        "reference": f"markets/{market}",
        "postings": [
            {"account": f"players/{player}/available", "side": "debit", "amount": STAKE, "currency": "MXN"},
            {
                "account": f"players/{player}/held",
                "side": "credit",
                "amount": STAKE,
                "currency": "MXN",
                "hold": hold,
            },
        ],
    }
