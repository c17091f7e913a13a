"""`python -m payments serve | attestor | keys create | deadletters`."""

import argparse
import sys
from pathlib import Path

from common.amqp.console import add_deadletters
from common.http import run
from contracts.topology import queues_of

from payments.app import attestor_app, payments_app
from payments.settings import AttestorSettings, Settings
from payments.signing import create_signing_key


def main() -> int:
    """Run the chosen command; its exit status."""
    wanted = _parser().parse_args()
    match wanted.command:
        case "attestor":
            attesting = AttestorSettings()
            run(attestor_app(attesting), attesting)
        case "keys":
            create_signing_key(wanted.seed_file, wanted.public_keys_file, wanted.key_id)
        case "deadletters":
            status: int = wanted.run(wanted)
            return status
        case _:
            serving = Settings()
            run(payments_app(serving), serving)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m payments", description="El Carril's payments")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve over HTTP and work (the default)")
    commands.add_parser("attestor", help="verify claimed deposits and sign what is proven")
    keys = commands.add_parser("keys", help="the attestor's signing key")
    create = keys.add_subparsers(dest="act", required=True).add_parser("create", help="make one")
    create.add_argument("--seed-file", type=Path, required=True, help="for the attestor; must not exist")
    create.add_argument(
        "--public-keys-file", type=Path, required=True, help="the keys that the ledger trusts"
    )
    create.add_argument("--key-id", required=True)
    add_deadletters(commands, queues_of("payments"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
