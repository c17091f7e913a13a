"""`AMQP_URL=… python -m examples.results_board listen --board FILE`: listen until told to stop.

`… deadletters list | show | replay`: what the board could not show.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

from common.amqp import Consumer, Delivery, Link, Poison
from common.amqp.console import add_deadletters
from common.telemetry.logs import configure_logs
from contracts.envelope import Envelope

from examples.results_board.board import Board, UnknownEvent

QUEUE: Final = "results-board.events"


async def listen(board: Board, amqp_url: str) -> None:
    """Keep the board true. What the consumer does when something breaks: `common.amqp.consumer`."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def handle(delivery: Delivery) -> None:
        event = Envelope.model_validate_json(delivery.raw)
        try:
            if await asyncio.to_thread(board.apply, event):
                print(f"{event.time:%H:%M:%S} {event.type} {event.subject}", flush=True)
        except UnknownEvent as unknown:
            raise Poison(f"the board shows no {unknown}") from unknown

    link = Link(amqp_url, name="results-board")
    consumer = Consumer(link, QUEUE, handle, parse=Envelope.model_validate_json, prefetch=20)
    async with consumer.running():
        await stop.wait()
    await link.close()


def main() -> int:
    """Run until SIGTERM or Ctrl-C (what is in hand is finished first), or one command."""
    parser = argparse.ArgumentParser(prog="python -m examples.results_board")
    commands = parser.add_subparsers(required=True, metavar="command")
    listening = commands.add_parser("listen", help="keep the board true")
    listening.add_argument("--board", type=Path, default=Path("board.sqlite"), help="the board's file")
    listening.set_defaults(run=_listen)
    add_deadletters(commands, [QUEUE])
    wanted = parser.parse_args()
    status: int = wanted.run(wanted)
    return status


def _listen(wanted: argparse.Namespace) -> int:
    configure_logs("results-board", "INFO")
    asyncio.run(listen(Board(wanted.board), os.environ["AMQP_URL"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
