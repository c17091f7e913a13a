"""`python -m betting serve | settle | deadletters`."""

import argparse
import os
import sys

from common.amqp.console import add_deadletters
from common.http import run
from contracts.topology import queues_of

from betting.app import betting_app, settler_app
from betting.settings import Settings, SettlerSettings


def main() -> int:
    """Run the serving process until it is told to stop, or one command."""
    parser = argparse.ArgumentParser(prog="python -m betting", description="El Carril's betting")
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(metavar="command")
    commands.add_parser("serve", help="serve over HTTP (the default)")
    settling = commands.add_parser("settle", help="settle markets, and hear the ledger and identity")
    settling.set_defaults(run=_settle)
    add_deadletters(commands, queues_of("betting"))
    wanted = parser.parse_args()
    status: int = wanted.run(wanted)
    return status


def _serve(_: argparse.Namespace) -> int:
    settings = Settings()
    run(betting_app(settings), settings)
    return 0


NICE = 10
"""Paying out can wait for a moment: on a busy machine whoever places an offer goes first."""


def _settle(_: argparse.Namespace) -> int:
    settings = SettlerSettings()
    os.nice(NICE)
    run(settler_app(settings), settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
