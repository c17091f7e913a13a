"""`keys`: API keys, what each may do, and the kinds their principals may post.

Needs DATABASE_DSN of the role ledger_keys, and SIGNING_ROOTS for keys that sign.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from common.pg import Pool, create_pool
from rich.table import Table

from ledger.cli.console import ERRORS, RESULTS
from ledger.domain.keys import POST, READ, KeyTerms
from ledger.keys import SigningRoots, create_key, list_keys, revoke_key, revoke_keys, rotate_key
from ledger.keys.managing import MadeKey
from ledger.settings import KeysSettings
from ledger.store.keys import KeyRecord

if TYPE_CHECKING:
    from ledger.cli.console import Commands

EL_CARRIL = "el-carril"


def add(commands: Commands) -> None:
    keys = commands.add_parser("keys", help="API keys; needs DATABASE_DSN of the role ledger_keys")
    acts = keys.add_subparsers(required=True, metavar="act")
    _add_create(acts)
    listing = acts.add_parser("list", help="every key: what it may do, when it was used, whether it lives")
    listing.add_argument("--name", help="only this principal's")
    listing.add_argument("--ledger", default=EL_CARRIL)
    listing.set_defaults(run=lambda wanted: asyncio.run(_list(wanted)))
    rotate = acts.add_parser("rotate", help="make a key's successor; both live until the overlap ends")
    rotate.add_argument("--key", type=UUID, required=True, help="its id")
    rotate.add_argument("--overlap-hours", type=float, default=24.0)
    rotate.add_argument("--out", type=Path, help="as for create")
    rotate.set_defaults(run=lambda wanted: asyncio.run(_rotate(wanted)))
    revoke = acts.add_parser("revoke", help="revoke one key, or every key of a principal, within seconds")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--key", type=UUID, help="its id")
    which.add_argument("--name", help="the principal")
    revoke.add_argument("--ledger", default=EL_CARRIL)
    revoke.set_defaults(run=lambda wanted: asyncio.run(_revoke(wanted)))


def _add_create(acts: Commands) -> None:
    create = acts.add_parser("create", help="make a key; it is shown once")
    create.add_argument("--name", required=True, help="the principal, such as betting")
    create.add_argument(
        "--kinds",
        help="kinds the principal may post from now on, by commas; without it they stay as they are",
    )
    create.add_argument("--scopes", default=f"{READ},{POST}", help="read, post or post:<kind>, by commas")
    create.add_argument("--read-only", action="store_const", const=READ, dest="scopes", help="--scopes read")
    create.add_argument("--signed", action="store_true", help="its requests must be signed (RFC 9421)")
    create.add_argument("--expires-in-days", type=float)
    create.add_argument("--rate", type=int, help="requests per second; needs --burst")
    create.add_argument("--burst", type=int, help="requests at once")
    create.add_argument("--per-day", type=int, help="requests per UTC day")
    create.add_argument("--ledger", default=EL_CARRIL)
    create.add_argument(
        "--out", type=Path, help="write the key to this file (0600), and its signing key to FILE.signing"
    )
    create.set_defaults(run=lambda wanted: asyncio.run(_create(wanted)))


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[Pool, SigningRoots]]:
    settings = KeysSettings()
    pool = await create_pool(
        settings.database_dsn.get_secret_value(), min_size=1, max_size=1, application_name="ledger-keys"
    )
    try:
        yield pool, SigningRoots.load(settings.signing_roots)
    finally:
        await pool.close()


async def _create(wanted: argparse.Namespace) -> int:
    kinds = None if wanted.kinds is None else [kind for kind in wanted.kinds.split(",") if kind]
    days = wanted.expires_in_days
    terms = KeyTerms(
        scopes=frozenset(wanted.scopes.split(",")),
        signed=wanted.signed,
        lifetime=None if days is None else timedelta(days=days),
        rate_per_second=wanted.rate,
        burst=wanted.burst,
        requests_per_day=wanted.per_day,
    )
    async with _opened() as (pool, roots):
        _show(await create_key(pool, roots, wanted.ledger, wanted.name, kinds, terms), wanted.out)
    return 0


async def _rotate(wanted: argparse.Namespace) -> int:
    overlap = timedelta(hours=wanted.overlap_hours)
    async with _opened() as (pool, roots):
        _show(await rotate_key(pool, roots, wanted.key, overlap), wanted.out)
    ERRORS.print(f"{wanted.key} goes on for {overlap}")
    return 0


async def _revoke(wanted: argparse.Namespace) -> int:
    async with _opened() as (pool, _):
        if wanted.key is not None:
            await revoke_key(pool, wanted.key)
            RESULTS.print(f"{wanted.key} revoked")
        else:
            RESULTS.print(f"{await revoke_keys(pool, wanted.ledger, wanted.name)} key(s) revoked")
    return 0


async def _list(wanted: argparse.Namespace) -> int:
    async with _opened() as (pool, _):
        found = await list_keys(pool, wanted.ledger, wanted.name)
    table = Table("id", "principal", "key", "scopes", "signs", "limits", "state", "expires", "last used")
    for key in found:
        table.add_row(
            str(key.id),
            key.principal,
            f"{key.hint}…",
            " ".join(sorted(key.scopes)),
            key.signing_root or "",
            _limits(key),
            key.state + (", replaced" if key.replaced else ""),
            _moment(key.expires_at),
            _moment(key.last_used_at),
        )
    RESULTS.print(table)
    return 0


def _show(made: MadeKey, out: Path | None) -> None:
    """Secrets go to standard output or to files that only their owner reads; the id, which is none, beside them."""
    texts = [("", made.secret), *([(".signing", made.signing.written())] if made.signing else [])]
    for ending, text in texts:
        if out is None:
            RESULTS.print(text)
        else:
            path = out.with_name(out.name + ending)
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-8")
    ERRORS.print(f"key {made.id}")


def _limits(key: KeyRecord) -> str:
    rate = [] if key.rate_per_second is None else [f"{key.rate_per_second}/s +{key.burst}"]
    quota = [] if key.requests_per_day is None else [f"{key.requests_per_day}/day"]
    return ", ".join(rate + quota)


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}Z"
