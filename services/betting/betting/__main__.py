"""`python -m betting serve | deadletters`."""

import argparse
import sys

from common.amqp.console import add_deadletters
from common.http import run
from contracts.topology import queues_of

from betting.app import betting_app
from betting.settings import Settings


def main() -> int:
    """Run the serving process until it is told to stop, or one command."""
    parser = argparse.ArgumentParser(prog="python -m betting", description="El Carril's betting")
    parser.set_defaults(run=_serve)
    commands = parser.add_subparsers(metavar="command")
    commands.add_parser("serve", help="serve over HTTP and AMQP (the default)")
    add_deadletters(commands, queues_of("betting"))
    wanted = parser.parse_args()
    status: int = wanted.run(wanted)
    return status


def _serve(_: argparse.Namespace) -> int:
    settings = Settings()
    run(betting_app(settings), settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
