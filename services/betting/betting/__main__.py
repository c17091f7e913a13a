"""`python -m betting serve`."""

import argparse

from common.http import run

from betting.app import betting_app
from betting.settings import Settings


def main() -> None:
    """Run the serving process until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m betting", description="El Carril's betting")
    parser.add_subparsers(dest="command").add_parser("serve", help="serve over HTTP and AMQP (the default)")
    parser.parse_args()
    settings = Settings()
    run(betting_app(settings), settings)


if __name__ == "__main__":
    main()
