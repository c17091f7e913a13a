"""`keys`: API keys and the kinds their principals may post. Needs DATABASE_DSN of the role ledger_keys."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from common.pg import create_pool

from ledger.cli.console import RESULTS
from ledger.keys import create_key, revoke_keys
from ledger.settings import KeysSettings

if TYPE_CHECKING:
    from ledger.cli.console import Commands


def add(commands: Commands) -> None:
    keys = commands.add_parser("keys", help="API keys; needs DATABASE_DSN of the role ledger_keys")
    acts = keys.add_subparsers(required=True)
    create = acts.add_parser("create", help="make a key; it is shown once")
    create.add_argument("--name", required=True, help="the principal, such as betting")
    create.add_argument("--kinds", default="", help="kinds it may post, separated by commas")
    create.add_argument("--read-only", action="store_true")
    create.add_argument("--ledger", default="el-carril")
    create.add_argument("--out", type=Path, help="write the key to this file (0600) instead of the screen")
    create.set_defaults(run=lambda wanted: asyncio.run(_create(wanted)))
    revoke = acts.add_parser("revoke", help="revoke every key of a principal")
    revoke.add_argument("--name", required=True)
    revoke.add_argument("--ledger", default="el-carril")
    revoke.set_defaults(run=lambda wanted: asyncio.run(_revoke(wanted)))


async def _create(wanted: argparse.Namespace) -> int:
    kinds = [kind for kind in wanted.kinds.split(",") if kind]
    dsn = KeysSettings().database_dsn.get_secret_value()
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="ledger-keys")
    try:
        key = await create_key(pool, wanted.ledger, wanted.name, kinds, read_only=wanted.read_only)
    finally:
        await pool.close()
    if wanted.out is None:
        RESULTS.print(key)
    else:
        wanted.out.touch(mode=0o600)
        wanted.out.write_text(key)
    return 0


async def _revoke(wanted: argparse.Namespace) -> int:
    dsn = KeysSettings().database_dsn.get_secret_value()
    pool = await create_pool(dsn, min_size=1, max_size=1, application_name="ledger-keys")
    try:
        RESULTS.print(f"{await revoke_keys(pool, wanted.ledger, wanted.name)} key(s) revoked")
    finally:
        await pool.close()
    return 0
