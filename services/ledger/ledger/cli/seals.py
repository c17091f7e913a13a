"""`seal`: the sealing process, or one round of it; `seals`: showing them, and the keys they are signed with.

Sealing and rotating need DATABASE_DSN of the role ledger_sealer and SEAL_KEYS; everything else reads, and does
with the role ledger_reader.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import Invalid
from common.http import run
from common.pg import Pool, create_pool, transaction
from rich.table import Table

from ledger.app import sealer_app
from ledger.cli.console import ERRORS, RESULTS
from ledger.sealing import Sealer, SealingKeys, Seals, make_key, rotate_key
from ledger.settings import SealerSettings, SealSettings
from ledger.store import seals as store
from ledger.store.chart import ledgers

if TYPE_CHECKING:
    from ledger.cli.console import Commands

EL_CARRIL = "el-carril"


def add(commands: Commands) -> None:
    seal = commands.add_parser(
        "seal", help="seal the journal as it grows; --once: what is there now, and end"
    )
    seal.add_argument("--once", action="store_true")
    seal.set_defaults(run=lambda wanted: asyncio.run(_once()) if wanted.once else _stay())
    seals = commands.add_parser("seals", help="show seals, and the keys they are signed with")
    acts = seals.add_subparsers(required=True, metavar="act")
    for act, told, does in (
        ("list", "every seal", _list),
        ("head", "the newest seal as NUMBER:HASH, to be noted down elsewhere", _head),
        ("keys", "the public keys, as a file for tools/verify_journal.py --trust", _keys),
    ):
        reading = acts.add_parser(act, help=told)
        reading.add_argument("--ledger", default=EL_CARRIL)
        reading.set_defaults(run=lambda wanted, does=does: asyncio.run(does(wanted)))
    making = acts.add_parser("make-key", help="add a new key to a key file")
    making.add_argument("--id", required=True)
    making.add_argument("--file", type=Path, required=True)
    making.set_defaults(run=_make_key)
    rotate = acts.add_parser("rotate", help="let the key of the day endorse another, which signs from now on")
    rotate.add_argument("--to", required=True, help="its id in SEAL_KEYS")
    rotate.add_argument("--ledger", default=EL_CARRIL)
    rotate.set_defaults(run=lambda wanted: asyncio.run(_rotate(wanted)))


NICE = 10
"""Sealing can wait: on a busy machine the posting goes first, and the sealer catches up after."""


def _stay() -> int:
    settings = SealerSettings()
    os.nice(NICE)
    run(sealer_app(settings), settings)
    return 0


@asynccontextmanager
async def opened(settings: SealSettings) -> AsyncIterator[Pool]:
    """A connection under whatever role the DSN names."""
    dsn = settings.database_dsn.get_secret_value()
    pool = await create_pool(
        dsn, min_size=1, max_size=1, application_name="ledger-seals", statement_timeout_ms=60_000
    )
    try:
        yield pool
    finally:
        await pool.close()


async def ledger_named(pool: Pool, name: str) -> int:
    """Raises `Invalid`: no such ledger."""
    async with transaction(pool, readonly=True) as connection:
        found = (await ledgers(connection)).get(name)
    if found is None:
        raise Invalid(f"no ledger {name}", field="ledger")
    return found


def _key_file(settings: SealSettings) -> Path:
    if settings.seal_keys is None:
        raise Invalid("SEAL_KEYS names no file", field="seal_keys")
    return settings.seal_keys


async def _once() -> int:
    settings = SealSettings()
    async with opened(settings) as pool:
        keys = SealingKeys.load(_key_file(settings))
        made = await Sealer(pool, lambda: keys, max_run=settings.max_run).seal_due()
    table = Table("ledger", "seal", "first", "last", "entries", "key")
    for each in made:
        entries = each.last - each.first + 1
        table.add_row(each.ledger, str(each.number), str(each.first), str(each.last), str(entries), each.key)
    RESULTS.print(table if made else "nothing to seal")
    return 0


async def _list(wanted: argparse.Namespace) -> int:
    table = Table("seal", "first", "last", "key", "sealed at", "hash")
    async with opened(SealSettings()) as pool:
        ledger, after = await ledger_named(pool, wanted.ledger), 0
        while page := await Seals(pool).page(ledger, after, 500):
            for row in page:
                at = f"{row.sealed_at:%Y-%m-%d %H:%M:%S}Z"
                table.add_row(str(row.number), str(row.first), str(row.last), row.key_id, at, row.hash.hex())
            after = page[-1].number
    RESULTS.print(table)
    return 0


async def _head(wanted: argparse.Namespace) -> int:
    async with opened(SealSettings()) as pool:
        ledger = await ledger_named(pool, wanted.ledger)
        async with transaction(pool, readonly=True) as connection:
            newest = await store.last_seal(connection, ledger)
    if newest is None:
        ERRORS.print("nothing is sealed yet")
        return 1
    RESULTS.print(f"{newest.number}:{newest.hash.hex()}")
    return 0


async def _keys(wanted: argparse.Namespace) -> int:
    async with opened(SealSettings()) as pool:
        known = await Seals(pool).keys(await ledger_named(pool, wanted.ledger))
    RESULTS.print_json(data={key.id: b64encode(key.public_key).decode() for key in known})
    return 0


def _make_key(wanted: argparse.Namespace) -> int:
    RESULTS.print(b64encode(make_key(wanted.file, wanted.id)).decode())
    return 0


async def _rotate(wanted: argparse.Namespace) -> int:
    settings = SealSettings()
    keys = SealingKeys.load(_key_file(settings))
    async with opened(settings) as pool:
        ledger = await ledger_named(pool, wanted.ledger)
        made = await rotate_key(pool, keys, ledger, wanted.ledger, wanted.to)
    RESULTS.print(f"{made.key} signs from seal {made.from_seal} on, endorsed by {made.endorsed_by}")
    return 0
