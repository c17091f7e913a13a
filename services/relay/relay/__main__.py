"""`python -m relay [--once]`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from common.errors import Unavailable
from common.http import run
from common.telemetry.logs import configure_logs

from relay.app import carry_once, relay_app
from relay.settings import Settings


def main() -> int:
    """Serve; or with `--once` empty the outbox and exit, with status 1 if rows are left."""
    parser = argparse.ArgumentParser(prog="python -m relay", description="Carries one database's outbox.")
    parser.add_argument("--once", action="store_true", help="carry what waits and exit, for a scheduled job")
    once = parser.parse_args().once
    settings = Settings()
    if not once:
        run(relay_app(settings), settings)
        return 0
    configure_logs(settings.service, settings.log_level)
    try:
        left = asyncio.run(carry_once(settings))
    except Unavailable as error:
        print(f"{error.title}: {error.detail}", file=sys.stderr)
        return 1
    print(f"{left} rows left")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
