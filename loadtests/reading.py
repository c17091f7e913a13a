"""Pages, balances, reports and the operators' commands over a journal of millions of postings.

    .venv/bin/python -m tools.stack with --infra-only -- .venv/bin/python -m loadtests.reading --postings 5000000

One ledger process on a fresh database, one client, every page of 100 rows over HTTP with everything around it. The
places asked for are spread over the whole journal. Loading 5 M postings takes some minutes; `--seconds` bounds each of
the measurements behind it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from urllib.parse import urlencode

import aiohttp
import asyncpg
from common.http.cursors import write_cursor
from common.testing import Database

from loadtests.alone import Alone, api_key, ledger_alone
from loadtests.journal import REFERENCES, ROUNDS, load

ASKED = 300
"""Requests a measurement, as far as its time allows."""

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Milliseconds of one kind of request."""

    what: str
    times: Sequence[float]

    def __str__(self) -> str:
        ordered = sorted(self.times)
        p50, p99 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99))
        return f"{self.what:58} {len(ordered):4} asked   p50 {p50:8.1f} ms   p99 {p99:8.1f} ms   max {ordered[-1]:8.1f} ms"


async def measure(what: str, ask: Ask, *, seconds: float, asked: int = ASKED) -> Figure:
    """Ask again and again, one after the other, for at most that long. The first three are not counted."""
    for _ in range(3):
        await ask()
    times: list[float] = []
    end = time.monotonic() + seconds
    while len(times) < asked and (time.monotonic() < end or not times):
        began = time.perf_counter()
        await ask()
        times.append((time.perf_counter() - began) * 1_000)
    return Figure(what, times)


@dataclass
class Reader:
    """A client with a key that may read, and what there is to read."""

    http: aiohttp.ClientSession
    url: str
    key: str
    entries: int
    accounts: Sequence[str]
    chance: Random

    async def get(self, path: str, **query: str | int) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.http.get(f"{self.url}{path}?{urlencode(query)}", headers=headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} {query}: {answer.status} {body.decode()[:500]}")

    def place(self) -> int:
        return self.chance.randrange(1, self.entries - 200)

    def place_with_everybody(self) -> int:
        """A place that every account was opened before: they take turns, and the first tenth has many rounds of them."""
        return self.chance.randrange(self.entries // 10, self.entries - 200)

    def cursor(self) -> str:
        return write_cursor("entries", self.place())

    def account(self) -> str:
        return self.chance.choice(self.accounts)

    def pages(self) -> dict[str, Ask]:
        after = self.cursor
        return {
            "entries": lambda: self.get("/v1/entries", after=after()),
            "entries, newest first": lambda: self.get("/v1/entries", after=after(), order="newest"),
            "entries of a common kind": lambda: self.get("/v1/entries", kind="bet.hold", after=after()),
            "entries of a rare kind (1 in 500)": lambda: self.get("/v1/entries", kind="card.clear", after=after()),
            "entries of a kind nothing has": lambda: self.get("/v1/entries", kind="bet.match"),
            "entries of a reference": lambda: self.get(
                "/v1/entries", reference=f"markets/{self.chance.randrange(min(REFERENCES, self.entries))}"
            ),
            "entries by metadata (1 in 50)": lambda: self.get(
                "/v1/entries", metadata_key="round", metadata_value=self.chance.randrange(ROUNDS), after=after()
            ),
            "entries of an account": lambda: self.get("/v1/entries", account=self.account(), order="newest"),
            "entries by effective time": lambda: self.get(
                "/v1/entries", effective_from="2026-01-01T00:00:00Z", order="newest"
            ),
            "statement": lambda: self.get(
                "/v1/statement", account=self.account(), after=write_cursor("statement", self.chance.randrange(1, 200))
            ),
            "statement up to a sequence": lambda: self.get(
                "/v1/statement", account=self.account(), sequence=self.place(), order="newest"
            ),
            "accounts": lambda: self.get(
                "/v1/accounts", prefix="players/", after=write_cursor("accounts", self.account(), "MXN")
            ),
            "accounts at a sequence": lambda: self.get(
                "/v1/accounts", prefix="players/", after=write_cursor("accounts", self.account(), "MXN"),
                sequence=self.place(),
            ),
            "balance": lambda: self.get("/v1/balance", account=self.account()),
            "balance at a sequence": lambda: self.get(
                "/v1/balance", account=self.account(), sequence=self.place_with_everybody()
            ),
            "trial balance": lambda: self.get("/v1/trial-balance"),
        }  # fmt: skip

    def reports(self) -> dict[str, Ask]:
        return {
            "trial balance, 10,000 entries ago": lambda: self.get(
                "/v1/trial-balance", sequence=self.entries - 10_000
            ),
            "trial balance in the middle of a day without a close": lambda: self.get(
                "/v1/trial-balance", sequence=self.entries // 2
            ),
            "export of the rare kind as JSON lines, whole": lambda: self.get(
                "/v1/entries/export", format="jsonl", kind="card.clear"
            ),
        }


async def command(database: Database, role: str, *arguments: str) -> str:
    """Run one of the ledger's commands; what it said last, and how long it took."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"DATABASE_DSN": database.dsn(role), "COLUMNS": "160"},
    )  # fmt: skip
    told, _ = await process.communicate()
    if process.returncode != 0:
        print(told.decode())
    last = [line for line in told.decode().splitlines() if any(map(str.isalnum, line))][-1].strip(" │")
    return f"python -m ledger {' '.join(arguments)}: {time.monotonic() - began:.1f} s, exit {process.returncode} ({last})"


async def run(alone: Alone, wanted: argparse.Namespace) -> None:
    database, entries = alone.database, wanted.postings // 2
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        began = time.monotonic()
        await load(
            connection,
            entries,
            accounts=wanted.accounts,
            told=lambda done: print(f"\rloaded {done * 2:,} postings", end="", flush=True),
        )
        print(
            f" over {wanted.accounts:,} accounts in {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}"
        )
        paths = [
            row["path"]
            for row in await connection.fetch("SELECT path FROM account ORDER BY random() LIMIT 500")
        ]
    finally:
        await connection.close()
    key = await api_key(database, "loadtest", "bet.hold")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as http:
        reader = Reader(http, alone.urls[0], key, entries, paths, Random(2026))  # noqa: S311 - the same every time
        for what, ask in reader.pages().items():
            print(await measure(what, ask, seconds=wanted.seconds))
        for what, ask in reader.reports().items():
            print(await measure(what, ask, seconds=wanted.seconds, asked=3))
    print(await command(database, "ledger_closer", "close"))
    print(await command(database, "ledger_reader", "rebuild", "--check", "--ledger", "el-carril"))


async def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.reading")
    parser.add_argument("--postings", type=int, default=5_000_000)
    parser.add_argument("--accounts", type=int, default=10_000, help="even")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each measurement")
    wanted = parser.parse_args()
    async with ledger_alone() as alone:
        await run(alone, wanted)


if __name__ == "__main__":
    asyncio.run(main())
