"""`python -m ledger serve | receipts | keys create | keys revoke`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from common.errors import DomainError
from common.http import run
from common.pg import create_pool

from ledger.app import ledger_app, receipts_app
from ledger.keys import create_key, revoke_keys
from ledger.settings import KeysSettings, LedgerSettings, ReceiptsSettings


def main() -> int:
    """Run the chosen process or command; the exit status is 1 when a command was refused."""
    wanted = _parser().parse_args()
    try:
        match wanted.command:
            case "receipts":
                receipts = ReceiptsSettings()
                run(receipts_app(receipts), receipts)
            case "keys":
                return asyncio.run(_keys(wanted))
            case _:
                settings = LedgerSettings()
                run(ledger_app(settings), settings)
    except DomainError as refused:
        print(f"{refused.title}: {refused.detail}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ledger", description="El Carril's ledger")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="post over HTTP and AMQP (the default)")
    commands.add_parser("receipts", help="verify attestations and store receipts")
    keys = commands.add_parser("keys", help="API keys; needs DATABASE_DSN of the role ledger_keys")
    acts = keys.add_subparsers(dest="act", required=True)
    create = acts.add_parser("create", help="make a key; it is shown once")
    create.add_argument("--name", required=True, help="the principal, such as betting")
    create.add_argument("--kinds", default="", help="kinds it may post, separated by commas")
    create.add_argument("--read-only", action="store_true")
    create.add_argument("--ledger", default="el-carril")
    create.add_argument("--out", type=Path, help="write the key to this file (0600) instead of the screen")
    revoke = acts.add_parser("revoke", help="revoke every key of a principal")
    revoke.add_argument("--name", required=True)
    revoke.add_argument("--ledger", default="el-carril")
    return parser


async def _keys(wanted: argparse.Namespace) -> int:
    dsn = KeysSettings().database_dsn.get_secret_value()
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="ledger-keys")
    try:
        if wanted.act == "revoke":
            print(f"{await revoke_keys(pool, wanted.ledger, wanted.name)} key(s) revoked")
            return 0
        kinds = [kind for kind in wanted.kinds.split(",") if kind]
        key = await create_key(pool, wanted.ledger, wanted.name, kinds, read_only=wanted.read_only)
    finally:
        await pool.close()
    if wanted.out is None:
        print(key)
    else:
        wanted.out.touch(mode=0o600)
        wanted.out.write_text(key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
