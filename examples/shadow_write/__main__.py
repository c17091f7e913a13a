"""`python -m examples.shadow_write play | follow | report`: shadow-write a team's books.

LEDGER_URL, LEDGER_API_KEY and, for a key that signs, LEDGER_SIGNING_KEY say how to reach the ledger.
`play` makes changes in books that are made up; `follow` takes up what has changed and ends, or stays with --every
SECONDS; `report` exits with 1 when anything drifted. Without the ledger both exit with 2, and may be called again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from random import Random

from common.client import RemoteProblem, ServiceClient, Unreachable
from common.signing import RequestSigner, SigningKey

from examples.shadow_write.books import Books
from examples.shadow_write.day import live
from examples.shadow_write.report import compare
from examples.shadow_write.shadow import Shadow


def client() -> ServiceClient:
    """The ledger, as the environment names it."""
    missing = [name for name in ("LEDGER_URL", "LEDGER_API_KEY") if not os.environ.get(name)]
    if missing:
        sys.exit(f"say where the ledger is: {' and '.join(missing)} not set")
    signing = os.environ.get("LEDGER_SIGNING_KEY")
    return ServiceClient(
        os.environ["LEDGER_URL"],
        headers={"Authorization": f"Bearer {os.environ['LEDGER_API_KEY']}"},
        signer=RequestSigner(SigningKey.parse(signing)) if signing else None,
    )


async def play(wanted: argparse.Namespace) -> int:
    live(Books(wanted.books), Random(wanted.seed), wanted.changes)  # noqa: S311 - made up
    print(f"{wanted.changes} changes made in {wanted.books}")
    return 0


async def follow(wanted: argparse.Namespace) -> int:
    async with client() as ledger:
        shadow = Shadow(Books(wanted.books), ledger, wanted.shadow)
        while True:
            try:
                print(f"{await shadow.follow()} changes taken up", flush=True)
            except Unreachable as silence:
                print(f"{silence}; going on later", file=sys.stderr, flush=True)
                if wanted.every is None:
                    return 2
            if wanted.every is None:
                return 0
            await asyncio.sleep(wanted.every)


async def report(wanted: argparse.Namespace) -> int:
    async with client() as ledger:
        books = Books(wanted.books)
        try:
            found = await compare(books, Shadow(books, ledger, wanted.shadow), ledger)
        except (Unreachable, RemoteProblem) as silence:
            print(f"nothing to report: {silence}", file=sys.stderr)
            return 2
    print(found)
    return 1 if found.drift or found.waiting else 0


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.shadow_write")
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, does in (("play", play), ("follow", follow), ("report", report)):
        command = commands.add_parser(name)
        command.add_argument("--books", type=Path, required=True)
        command.set_defaults(does=does)
        if name == "play":
            command.add_argument("--changes", type=int, default=50)
            command.add_argument("--seed", type=int, help="the same changes every time")
        else:
            command.add_argument("--shadow", type=Path, required=True)
        if name == "follow":
            command.add_argument("--every", type=float, metavar="SECONDS")
    wanted = parser.parse_args()
    status: int = asyncio.run(wanted.does(wanted))
    return status


if __name__ == "__main__":
    sys.exit(main())
