"""The highest rate that arrives and is answered without anyone waiting in line, and the first that is not.

`python -m loadtests.open_model` on a running stack. k6 sends entries at a constant arrival rate, whatever the answers
do: a ledger that falls behind shows as dropped iterations and a long tail, which a closed loop would hide. A bracket is
clean when nothing was dropped, everything was accepted, and at least 99.5 % of what was asked for was served.

    --light     our own client (`arrivals.py`) instead of k6, which at these rates takes most of one of the two cores
    --batch 10  requests of so many entries
    --sealer    with the sealing process beside
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import uvloop

from loadtests.alone import api_key, ledger_alone, sealer, settled
from loadtests.arrivals import Client, Posts
from loadtests.books import LEDGER, fund, make_ledger

HERE = Path(__file__).parent
ACCOUNTS = 10_000
CONNECTIONS = 400
"""At most, k6's too."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """What came of one rate. Latencies of requests, in milliseconds."""

    asked: int
    served: float
    dropped: int
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def clean(self) -> bool:
        return not self.dropped and not self.failed and self.served >= 0.995 * self.asked


async def light(url: str, key: str, rate: int, seconds: int, batch: int) -> Bracket:
    """Our own client at `rate` entries a second, `batch` of them in a request."""
    async with Client(Posts(url, key, ACCOUNTS, batch)).connected(url, CONNECTIONS) as client:
        told = await client.arriving(rate / batch, seconds)
    served = (len(told.waits) - told.late) * batch / seconds
    return Bracket(rate, served, told.dropped, len(told.refused), told.p(0.5), told.p(0.99))


async def bracket(url: str, key: str, rate: int, seconds: int, batch: int) -> Bracket:
    """k6 at `rate` entries a second, `batch` of them in a request."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder) / "summary.json"
        settings = {
            "URL": url, "KEY": key, "RUN": uuid4().hex[:12], "ACCOUNTS": ACCOUNTS, "RATE": rate,
            "SECONDS": seconds, "BATCH": batch,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            _k6(), "run", "--quiet", "--no-usage-report", "--summary-export", summary,
            *(part for name, value in settings.items() for part in ("-e", f"{name}={value}")),
            HERE / "open_model.js", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await process.communicate()
        if not summary.exists():
            raise RuntimeError(told.decode()[-2_000:])
        metrics = json.loads(summary.read_text(encoding="utf-8"))["metrics"]
    return Bracket(
        rate,
        metrics["checks"]["passes"] * batch / seconds,
        metrics.get("dropped_iterations", {}).get("count", 0),
        metrics["checks"]["fails"],
        metrics["http_req_duration"]["med"],
        metrics["http_req_duration"]["p(99)"],
    )


def _k6() -> str:
    beside = Path(sys.executable).with_name("k6")
    found = str(beside) if beside.exists() else shutil.which("k6")
    if found is None:
        raise SystemExit("k6 is not here: see loadtests/README.md")
    return found


async def main() -> None:
    """Print every bracket up to the first that is not clean."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.open_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rates", type=int, nargs="+", default=[500, 1_000, 2_000, 3_000, 4_000, 5_000])
    parser.add_argument("--batch", type=int, default=1, help="entries in a request")
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--sealer", action="store_true")
    wanted = parser.parse_args()
    async with ledger_alone(prepare=make_ledger) as alone:
        key = await api_key(alone.database, "load", "transfer", ledger=LEDGER)
        await fund(alone.urls[0], key, ACCOUNTS)
        await settled(alone.database)
        async with sealer(alone.database) if wanted.sealer else nullcontext():
            await brackets(alone.urls[0], key, wanted)


async def brackets(url: str, key: str, wanted: argparse.Namespace) -> None:
    """Each of the rates, up to the first that is not clean."""
    ask = light if wanted.light else bracket
    await ask(url, key, 500, 3, wanted.batch)
    for rate in wanted.rates:
        got = await ask(url, key, rate, wanted.seconds, wanted.batch)
        verdict = "clean" if got.clean else "FAILED"
        print(
            f"{rate:6,}/s asked: {got.served:,.0f}/s served, p50 {got.p50_ms:.1f} ms, p99 {got.p99_ms:.1f} ms, "
            f"{got.dropped} dropped, {got.failed} refused: {verdict}",
            flush=True,
        )
        if not got.clean:
            break


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
