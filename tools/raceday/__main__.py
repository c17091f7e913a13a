"""`python -m tools.raceday play | seed | storm`, on the stack that `EL_CARRIL_STACK` describes.

`play` runs a whole race day and exits non-zero if any invariant of its final books fails. `seed` makes
a small day with people to log in as, once; running it again changes nothing. `storm` is no plan but whatever comes to
people's minds, while our processes are killed all the time (`tools.raceday.storm`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp

from tools.raceday.books import Books, UnsoundBooks, close_books
from tools.raceday.card import CARD, read_card
from tools.raceday.client import Refusal
from tools.raceday.day import Day, Say
from tools.raceday.faults import Faults, nothing
from tools.raceday.plan import draw
from tools.raceday.seed import seed
from tools.raceday.staff import officials
from tools.raceday.storm.run import Storm
from tools.stack.described import Stack, running_stack


def main() -> int:
    """The exit status: 0 when the day ended with sound books."""
    wanted = _parser().parse_args()
    stack = running_stack()
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:6.1f}] {line}", flush=True)

    try:
        if wanted.command == "seed":
            asyncio.run(seed(stack, say))
            return 0
        if wanted.command == "storm":
            asyncio.run(_storm(stack, wanted, say))
            return 0
        books = asyncio.run(_play(stack, wanted, say))
    except (Refusal, TimeoutError, UnsoundBooks, ExceptionGroup) as failed:
        say(f"FAILED: {failed!r}")
        return 1
    if wanted.books:
        books.save(wanted.books)
    say(f"final books: {len(books.balances)} accounts, sha256 {books.digest}")
    say(f"the day touched: {' '.join(books.touched)}")
    if wanted.compare:
        expected = json.loads(wanted.compare.read_text(encoding="utf-8"))
        differing = sorted(
            path for path in {*expected, *books.balances} if expected.get(path) != books.balances.get(path)
        )
        say(
            f"compared with {wanted.compare.name}: {len(differing)} of {len(expected)} accounts differ {differing[:5]}"
        )
        return 1 if differing else 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.raceday")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("seed", help="a small day to look at, made once")
    storm = commands.add_parser(
        "storm", help="whatever comes to people's minds, with kills, against the books"
    )
    storm.add_argument(
        "--seed", type=int, default=1, help="what everybody would like to do, and who is killed when"
    )
    storm.add_argument(
        "--seconds", type=float, default=25.0, help="how long there is betting before the first gate"
    )
    play = commands.add_parser("play", help="a whole day, checked to the cent")
    play.add_argument("--seed", type=int, default=2026, help="the same seed gives the same final books")
    play.add_argument("--card", type=Path, default=CARD, help="the race card (JSON)")
    play.add_argument("--bettors", type=int, default=200)
    play.add_argument("--offers", type=int, default=2_000)
    play.add_argument(
        "--faults", action="store_true", help="kill -9 each of six processes once during the day"
    )
    play.add_argument("--books", type=Path, help="write the final balance of every account to this file")
    play.add_argument("--compare", type=Path, help="a file of --books that the final books must equal")
    return parser


async def _storm(stack: Stack, wanted: argparse.Namespace, say: Say) -> None:
    timeout, connector = aiohttp.ClientTimeout(total=15), aiohttp.TCPConnector(limit=64)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        say(f"seed {wanted.seed}")
        await Storm(stack, wanted.seed, wanted.seconds, http, say).run()


async def _play(stack: Stack, wanted: argparse.Namespace, say: Say) -> Books:
    card = read_card(wanted.card)
    plan = draw(card, wanted.seed, wanted.bettors, wanted.offers)
    faults = Faults(stack["name"], len(card.races), say) if wanted.faults else None
    day = Day(
        stack["urls"]["gateway"],
        stack["urls"]["rail"],
        card,
        plan,
        f"day-{wanted.seed}",
        say,
        faults.milestone if faults else nothing,
    )
    say(
        f"seed {wanted.seed}: {len(card.races)} races, {wanted.bettors} bettors, faults {'on' if faults else 'off'}"
    )
    await day.run(wanted.bettors, await officials(stack, 2))
    if faults:
        await faults.finish()
    say(", ".join(f"{count} {what}" for what, count in sorted(day.counts.items())))
    say(f"asked again {day.tally.repeats} times, unreachable {day.tally.unreachable} times")
    names = {id: f"bettor-{number:04d}" for number, id in day.ids.items()}
    markets = {market["id"]: f"race-{number:02d}" for number, market in day.markets.items()}
    books = await close_books(stack, names, markets)
    say(
        "trial balance zero, every balance the sum of its postings, escrows and holds zero, outboxes and queues empty"
    )
    return books


if __name__ == "__main__":
    sys.exit(main())
