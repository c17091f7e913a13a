"""Twice as much as the ledger can take: what it still posts, how long that waits, and that the rest is posted later.

`python -m loadtests.overload` on a running stack. First a closed loop finds the peak: the most that is posted a second,
client and ledger on the same cores. Then posts arrive at twice that rate over connections that stay open, whatever the
answers are, from clients that do not come again: goodput is what is posted a second meanwhile. In the end all that was
refused is sent again under the same keys, and journal and books are counted.

    --connections 128  of the closed loop
    --lines 4000       connections that arrivals may use; what finds none free is dropped
    --patient          not arrivals but that many callers, who after a refusal stay away as long as it says
    --batch 100        requests of so many entries
    --sealer           with the sealing process beside
"""

from __future__ import annotations

import argparse
import asyncio
import time
from contextlib import nullcontext
from dataclasses import dataclass

import asyncpg
import uvloop

from loadtests.alone import Alone, api_key, ledger_alone, sealer, settled
from loadtests.arrivals import Client, Posts, Told, quantile
from loadtests.books import LEDGER, fund, make_ledger

ACCOUNTS = 10_000
WARM_SECONDS = 2.0


@dataclass
class Run:
    """A client at work, and what was accepted so far."""

    client: Client
    batch: int
    accepted: int = 0

    def rate(self, told: Told, seconds: float) -> float:
        """Entries a second that were accepted in time."""
        return (len(told.waits) - told.late) * self.batch / seconds

    async def peak(self, connections: int, seconds: float) -> float:
        """The best of a closed loop."""
        told = await self.client.closed_loop(connections, seconds)
        self.accepted += len(told.waits)
        print(
            f"{connections} that wait for their answers: {self.rate(told, seconds):,.0f} entries/s, p50 {told.p(0.5):.0f} ms, "
            f"p99 {told.p(0.99):.0f} ms, {len(told.refused)} refused",
            flush=True,
        )
        return self.rate(told, seconds)

    async def asked(self, rate: float, peak: float, seconds: float, *, patient: bool) -> Told:
        """`rate` entries a second, whatever comes of them; or from callers who stay away for as long as they are told."""
        cpu = time.process_time()
        ask = self.client.callers if patient else self.client.arriving
        told = await ask(rate / self.batch, seconds)
        self.accepted += len(told.waits)
        goodput, spent = self.rate(told, seconds), (time.process_time() - cpu) / seconds
        print(
            f"{rate / peak:.1f} times the peak, {rate:,.0f}/s: {goodput:,.0f} posted/s ({goodput / peak:.0%} of the peak) "
            f"at p50 {told.p(0.5):.0f} ms, p99 {told.p(0.99):.0f} ms; {len(told.turned_away)} times refused with Retry-After "
            f"at p50 {quantile(told.turned_away, 0.5):.0f} ms, p99 {quantile(told.turned_away, 0.99):.0f} ms; "
            f"{told.dropped} dropped; answers {dict(told.statuses)}; the client took {spent:.0%} of a core",
            flush=True,
        )
        return told

    async def settle_up(self, keys: list[str], connections: int) -> None:
        """Send what was refused again, with the same keys, until nothing is left."""
        while keys:
            told = await self.client.once_more(keys, connections)
            self.accepted += len(told.waits)
            keys = told.refused


async def measure(alone: Alone, url: str, key: str, wanted: argparse.Namespace) -> None:
    posts = Posts(url, key, ACCOUNTS, wanted.batch)
    async with Client(posts).connected(url, wanted.lines) as client:
        run = Run(client, wanted.batch)
        await run.peak(wanted.connections, WARM_SECONDS)
        await settled(alone.database)
        peak = await run.peak(wanted.connections, wanted.seconds)
        refused = []
        for times in wanted.times:
            refused += (await run.asked(times * peak, peak, wanted.seconds, patient=wanted.patient)).refused
        await run.settle_up(refused, wanted.connections)
    await account_for(alone, run.accepted * wanted.batch)


async def account_for(alone: Alone, accepted: int) -> None:
    """Count keys against entries, and balances against postings. Raises `SystemExit` when they differ."""
    connection = await asyncpg.connect(alone.database.superuser_dsn)
    try:
        entries = await connection.fetchval("SELECT count(*) FROM entry") - ACCOUNTS
        drift = await connection.fetchval(
            """
            SELECT count(*) FROM balance b
              LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM posting GROUP BY 1) p USING (account_id)
             WHERE b.amount <> coalesce(p.amount, 0)
            """
        )
    finally:
        await connection.close()
    print(
        f"afterwards {accepted} keys accepted, {entries} entries, {drift} balances that differ from their postings"
    )
    if entries != accepted or drift:
        raise SystemExit("the books are wrong")


async def main() -> None:
    """Print the rates and what came of the refused ones."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.overload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--lines", type=int, default=4_000, help="connections that arrivals may use")
    parser.add_argument(
        "--times", type=float, nargs="+", default=[2.0], help="the peak, asked one after the other"
    )
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--patient", action="store_true")
    parser.add_argument("--sealer", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the ledger")
    wanted = parser.parse_args()
    settings = dict(each.split("=", 1) for each in wanted.set)
    async with ledger_alone(prepare=make_ledger, settings=settings) as alone:
        key = await api_key(alone.database, "load", "transfer", ledger=LEDGER)
        await fund(alone.urls[0], key, ACCOUNTS)
        await settled(alone.database)
        async with sealer(alone.database) if wanted.sealer else nullcontext():
            await measure(alone, alone.urls[0], key, wanted)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
