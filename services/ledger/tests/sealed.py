"""A real ledger with some history, sealed, and the offline verifier as an auditor runs it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from common.pg import Pool, create_pool
from common.testing import Database
from ledger.domain.seals import Statement
from ledger.engine.batch import Answer
from ledger.sealing import Sealer, SealingKeys, make_key
from ledger.sealing.exporting import Export, export_journal

from services.ledger.tests.vocabulary import Bank, connected, hold, match, posted, settle

TOOL = Path(__file__).resolve().parents[3] / "tools" / "verify_journal.py"
Json = dict[str, Any]


@dataclass
class SealedBank:
    """A bank whose entries are sealed in runs of five."""

    bank: Bank
    sealer: Sealer
    reading: Pool
    folder: Path

    @property
    def key_file(self) -> Path:
        return self.folder / "seal-keys.json"

    def keys(self) -> SealingKeys:
        return SealingKeys.load(self.key_file)

    async def history(self, races: int = 3) -> list[UUID]:
        """Six entries a race: two players fund, hold, are matched and settled; returns the entries' ids."""
        ids: list[UUID] = []
        for _ in range(races):
            one, other, market = await self.bank.fund("60.00"), await self.bank.fund("40.00"), str(uuid4())
            offers = uuid4(), uuid4()
            commands = [
                hold(one, Decimal("25.50"), market, offers[0]),
                hold(other, Decimal("25.50"), market, offers[1]),
                match(market, (one, offers[0], Decimal("25.50")), (other, offers[1], Decimal("25.50"))),
                settle(
                    market,
                    {f"players/{one}/available": Decimal("50.00"), "house/commission": Decimal("1.00")},
                ),
            ]
            ids += [entry_id(await self.bank.engine.post(command)) for command in commands]
        return ids

    async def export(self, *, first: int = 1, last: int | None = None) -> tuple[Path, Export]:
        """An export in a fresh folder."""
        folder = self.folder / f"export-{uuid4().hex[:8]}"
        return folder, await export_journal(self.reading, 1, "el-carril", folder, first=first, last=last)

    async def trust(self) -> Path:
        """What the auditor got on another day: the first key alone."""
        async with connected(self.bank.database, "ledger_reader") as connection:
            key = await connection.fetchrow(
                "SELECT id, encode(public_key, 'base64') FROM seal_key WHERE from_seal = 1"
            )
        assert key is not None
        file = self.folder / "trusted.json"
        file.write_text(json.dumps(dict([tuple(key)])))
        return file

    async def verify(self, folder: Path, head: str, *more: str, trust: Path | None = None) -> tuple[int, str]:
        """What the tool says, alone: `-I` keeps this repository out of its sight."""
        return await run_tool(
            "journal", str(folder), "--head", head, "--trust", str(trust or await self.trust()), *more
        )


async def run_tool(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(TOOL),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return process.returncode or 0, told.decode()


def entry_id(answer: Answer) -> UUID:
    assert posted(answer), answer
    id: UUID = answer.outcome.id  # type: ignore[union-attr] # posted
    return id


def head_of(export: Export) -> str:
    return f"{export.head.number}:{export.head.hash.hex()}"


@asynccontextmanager
async def sealed_bank(bank: Bank, folder: Path) -> AsyncIterator[SealedBank]:
    """The bank with a sealer of its own, which seals when it is told."""
    make_key(folder / "seal-keys.json", "seal-1")
    database: Database = bank.database
    sealing = await create_pool(
        database.dsn("ledger_sealer"), min_size=1, max_size=2, application_name="test"
    )
    reading = await create_pool(
        database.dsn("ledger_reader"), min_size=1, max_size=2, application_name="test"
    )
    sealer = Sealer(sealing, lambda: SealingKeys.load(folder / "seal-keys.json"), max_run=5)
    yield SealedBank(bank, sealer, reading, folder)
    await sealing.close()
    await reading.close()


def runs(made: list[Statement] | tuple[Statement, ...]) -> list[tuple[int, int, int]]:
    return [(each.number, each.first, each.last) for each in made]


@asynccontextmanager
async def twelve_entries(bank: Bank, folder: Path) -> AsyncIterator[SealedBank]:
    """Under three seals: 1 to 5, 6 to 10, 11 and 12."""
    async with sealed_bank(bank, folder) as made:
        await made.history(races=2)
        await made.sealer.seal_due()
        yield made


def lines_of(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def change_manifest(folder: Path, change: Callable[[Json], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
