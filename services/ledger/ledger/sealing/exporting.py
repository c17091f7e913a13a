"""Exports for auditors: `journal.jsonl`, a line per entry, and `manifest.json` with seals and keys.

A range is widened to whole seals, for only those can be verified. The manifest holds every seal from there
to the newest, so that the chain reaches whatever head the auditor noted down.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.errors import Invalid
from common.pg import Pool, transaction

from ledger.domain.seals import VERSION, Json, canonical, moment
from ledger.sealing.sealer import check_whole
from ledger.store import seals as store

JOURNAL = "journal.jsonl"
MANIFEST = "manifest.json"
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: the entries from `first` to `last`."""

    first: int
    last: int
    seals: int
    head: store.SealRow


async def export_journal(
    pool: Pool,
    ledger: int,
    name: str,
    folder: Path,
    *,
    first: int = 1,
    last: int | None = None,
    advanced: Callable[[int, int], None] = lambda _done, _all: None,
) -> Export:
    """Write the entries from `first` to `last` (None: to the last one sealed) into a new folder.

    `advanced` is told how many of how many entries are written.

    Raises:
        Invalid: the range is not sealed, or makes no sense.
        JournalIncomplete: entries are missing.
        OSError: the folder cannot be made.
    """
    seals = await _seals_from(pool, ledger, first)
    covering = [seal for seal in seals if last is None or seal.first <= last]
    if first < 1 or not covering or (last is not None and not first <= last <= covering[-1].last):
        sealed = seals[-1].last if seals else 0
        raise Invalid(f"choose a range within what is sealed (up to {sealed})", field="range")
    await asyncio.to_thread(folder.mkdir, parents=True)
    whole = hashlib.sha256()
    with (folder / JOURNAL).open("xb") as journal:
        for seal in covering:
            async with transaction(pool, isolation="repeatable_read", readonly=True) as connection:
                entries = await store.journal(connection, ledger, seal.first, seal.last)
            check_whole(entries, seal.first, seal.last)
            for entry in entries:
                line = canonical(entry.written()) + b"\n"
                journal.write(line)
                whole.update(line)
            advanced(seal.last - covering[0].first + 1, covering[-1].last - covering[0].first + 1)
    async with transaction(pool, readonly=True) as connection:
        keys = await store.seal_keys(connection, ledger)
    manifest = {
        "v": VERSION,
        "ledger": name,
        "first": covering[0].first,
        "last": covering[-1].last,
        "entries": covering[-1].last - covering[0].first + 1,
        "sha256": whole.hexdigest(),
        "exported_at": moment(datetime.now(UTC)),
        "seals": [written_seal(seal) for seal in seals],
        "keys": [written_key(key) for key in keys],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return Export(covering[0].first, covering[-1].last, len(covering), seals[-1])


async def _seals_from(pool: Pool, ledger: int, first: int) -> list[store.SealRow]:
    """Every seal from the one that covers `first` to the newest."""
    async with transaction(pool, isolation="repeatable_read", readonly=True) as connection:
        start = await store.seal_over(connection, ledger, first)
        if start is None:
            return []
        found: list[store.SealRow] = []
        after = start.number - 1
        while page := await store.seals(connection, ledger, after, _PAGE):
            found += page
            after = page[-1].number
        return found


def written_seal(seal: store.SealRow) -> dict[str, Json]:
    """A seal for the outside: what was signed, to the letter, and the signature. Everything else follows."""
    return {
        "statement": seal.statement.decode(),
        "signature": b64encode(seal.signature).decode(),
        "hash": seal.hash.hex(),
    }


def written_key(key: store.SealKeyRow) -> dict[str, Json]:
    """A public key for the outside, with what its predecessor said of it."""
    shown: dict[str, Json] = {
        "id": key.id,
        "public_key": b64encode(key.public_key).decode(),
        "from_seal": key.from_seal,
    }
    if key.endorsement is not None and key.signature is not None:
        shown["endorsement"] = key.endorsement.decode()
        shown["signature"] = b64encode(key.signature).decode()
    return shown
