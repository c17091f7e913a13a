"""What sealing costs: the rate of posts with the sealer beside it and without, and how fast it seals, exports
and verifies; and what a signature costs a request.

`python -m loadtests.sealing` on a running throw-away stack. Rounds with and without the sealer alternate, so
that a busy machine bears on both.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from uuid import uuid4

import asyncpg
from common.client import ServiceClient
from common.signing import RequestSigner, SigningKey
from pydantic import BaseModel

from loadtests.alone import api_key, ledger_alone, sealer, settled
from loadtests.books import LEDGER, fund, make_ledger
from loadtests.posts import ACCOUNTS, measure
from tools.stack.described import Stack, running_stack

VERIFIER = Path(__file__).resolve().parents[1] / "tools" / "verify_journal.py"
IN_FLIGHT = 32


class Anything(BaseModel):
    """An answer nobody looks at."""


async def side_by_side(rounds: int, seconds: int) -> None:
    """Posts per second of a ledger by itself, in turns."""
    rates: dict[str, list[float]] = {"without": [], "with": []}
    async with ledger_alone(prepare=make_ledger) as alone:
        key = await api_key(alone.database, "load", "transfer", ledger=LEDGER)
        await fund(alone.urls[0], key, ACCOUNTS)
        await settled(alone.database)
        for _ in range(rounds):
            for sealing in ("without", "with"):
                async with sealer(alone.database) if sealing == "with" else nullcontext():
                    figure = await measure(alone, key, IN_FLIGHT, seconds, hot=False, batch=1)
                rates[sealing].append(figure.per_second)
    without, beside = (statistics.median(rates[each]) for each in ("without", "with"))
    print(f"posts/s at {IN_FLIGHT} connections, {rounds} turns of {seconds} s: {without:,.0f} without the sealer, "
          f"{beside:,.0f} with it (x{beside / without:.3f})")  # fmt: skip
    print(
        f"  without: {[round(each) for each in rates['without']]}, with: {[round(each) for each in rates['with']]}"
    )


async def timed(role: str, stack: Stack, *arguments: str) -> tuple[float, str]:
    """How long a command of the ledger takes, and what it says."""
    environment = os.environ | {
        "DATABASE_DSN": stack["dsn"][role], "SEAL_KEYS": str(Path(stack["secrets_dir"]) / "ledger-seal-keys.json"),
    }  # fmt: skip
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, env=environment
    )
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(told.decode())
    return time.perf_counter() - began, told.decode()


async def seal_export_verify(stack: Stack) -> None:
    """Each once, over everything there is."""
    connection = await asyncpg.connect(stack["dsn"]["ledger_reader"])
    waiting = await connection.fetchval(
        "SELECT sequence - coalesce((SELECT max(last) FROM seal WHERE ledger_id = 1), 0) FROM head WHERE ledger_id = 1"
    )
    idle, _ = await timed("ledger_reader", stack, "-m", "ledger", "seals", "head")
    seconds, _ = await timed("ledger_sealer", stack, "-m", "ledger", "seal", "--once")
    print(
        f"sealing: {waiting:,} entries in {seconds - idle:.1f} s, {waiting / (seconds - idle):,.0f} entries/s"
    )
    entries = await connection.fetchval("SELECT sequence FROM head WHERE ledger_id = 1")
    _, head = await timed("ledger_reader", stack, "-m", "ledger", "seals", "head")
    _, keys = await timed("ledger_reader", stack, "-m", "ledger", "seals", "keys")
    with tempfile.TemporaryDirectory() as folder:
        export, trust = Path(folder) / "export", Path(folder) / "trust.json"
        trust.write_text(keys)
        seconds, _ = await timed(
            "ledger_reader", stack, "-m", "ledger", "journal", "export", "--out", str(export)
        )
        size = (export / "journal.jsonl").stat().st_size
        print(f"exporting: {entries / (seconds - idle):,.0f} entries/s, {size / entries:,.0f} bytes an entry")
        seconds, told = await timed(
            "ledger_reader",
            stack,
            str(VERIFIER),
            "journal",
            str(export),
            "--trust",
            str(trust),
            "--head",
            head.strip(),
        )
        print(f"verifying offline: {entries / seconds:,.0f} entries/s ({told.strip()})")
    # The proof of one entry reads and hashes its whole run again.
    ids = await connection.fetch("SELECT id FROM entry WHERE ledger_id = 1 ORDER BY random() LIMIT 50")
    await connection.close()
    (secret, _) = await made_key(stack)
    async with ServiceClient(
        stack["urls"]["ledger"], headers={"Authorization": f"Bearer {secret}"}
    ) as client:
        took = []
        for row in ids:
            began = time.perf_counter()
            await client.get(f"/v1/entries/{row['id']}/proof", Anything)
            took.append(time.perf_counter() - began)
    print(f"a proof: median {statistics.median(took) * 1000:.1f} ms")


async def made_key(stack: Stack, *more: str) -> tuple[str, SigningKey | None]:
    """A fresh key, with its signing key if it must sign."""
    roots = str(Path(stack["secrets_dir"]) / "ledger-signing-roots.json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "keys", "create", "--name", f"load-{uuid4().hex[:6]}", *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"DATABASE_DSN": stack["dsn"]["ledger_keys"], "SIGNING_ROOTS": roots},
    )  # fmt: skip
    told, _ = await process.communicate()
    secret, *signing = told.decode().split()
    return secret, SigningKey.parse(signing[0]) if signing else None


async def signatures(stack: Stack, requests: int) -> None:
    """The same request signed and not, in turns; client and service share the machine."""
    rates: dict[str, list[float]] = {"plain": [], "signed": []}
    for _ in range(3):
        for kind, more in (("plain", ()), ("signed", ("--signed",))):
            secret, signing = await made_key(stack, *more)
            signer = RequestSigner(signing) if signing else None
            headers = {"Authorization": f"Bearer {secret}"}
            async with ServiceClient(stack["urls"]["ledger"], headers=headers, signer=signer) as client:
                gate = asyncio.Semaphore(IN_FLIGHT)

                async def ask(client: ServiceClient = client, gate: asyncio.Semaphore = gate) -> None:
                    async with gate:
                        await client.get("/v1/seals", Anything, params={"limit": "1"})

                await ask()
                began = time.perf_counter()
                await asyncio.gather(*(ask() for _ in range(requests)))
                rates[kind].append(requests / (time.perf_counter() - began))
    plain, signed = statistics.median(rates["plain"]), statistics.median(rates["signed"])
    micros = (1 / signed - 1 / plain) * 1_000_000
    print(f"a read, {IN_FLIGHT} in flight: {plain:,.0f}/s plain, {signed:,.0f}/s signed (x{signed / plain:.2f}); "
          f"signing and verifying take {micros:,.0f} us of both cores together")  # fmt: skip


async def main() -> None:
    """Print the figures of this run."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.sealing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--requests", type=int, default=2_000)
    wanted = parser.parse_args()
    running = running_stack()
    print(f"load average {re.sub('[()]', '', str(os.getloadavg()))}")
    await side_by_side(wanted.rounds, wanted.seconds)
    await seal_export_verify(running)
    await signatures(running, wanted.requests)


if __name__ == "__main__":
    asyncio.run(main())
