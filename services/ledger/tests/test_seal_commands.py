"""An operator's and an auditor's day, by commands alone: seal, note the head, export, verify, rotate, check."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ledger.cli import main

from services.ledger.tests.sealed import run_tool, sealed_bank
from services.ledger.tests.vocabulary import Bank, connected


async def test_from_sealing_to_verifying_by_commands_alone(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "own" / "keys.json"
    keys.parent.mkdir()
    monkeypatch.setenv("SEAL_KEYS", str(keys))

    async def ledger(role: str, *arguments: str) -> tuple[int, str]:
        """The exit status, and what it said: the results, or else the complaint."""
        monkeypatch.setenv("DATABASE_DSN", bank.database.dsn(role))
        status = await asyncio.to_thread(main, arguments)
        told = capsys.readouterr()
        return status, told.out or told.err

    async with sealed_bank(bank, tmp_path) as history:
        await history.history(races=2)
        assert (await ledger("ledger_reader", "seals", "head")) == (1, "nothing is sealed yet\n")
        assert (await ledger("ledger_sealer", "seals", "make-key", "--id", "first", "--file", str(keys)))[
            0
        ] == 0
        status, told = await ledger("ledger_sealer", "seal", "--once")
        assert (status, "12" in told, "first" in told) == (0, True, True)
        assert (await ledger("ledger_sealer", "seal", "--once")) == (0, "nothing to seal\n")
        trust = tmp_path / "trust.json"
        trust.write_text((await ledger("ledger_reader", "seals", "keys"))[1])

        assert (await ledger("ledger_sealer", "seals", "make-key", "--id", "second", "--file", str(keys)))[
            0
        ] == 0
        status, told = await ledger("ledger_sealer", "seals", "rotate", "--to", "second")
        assert (status, told) == (0, "second signs from seal 2 on, endorsed by first\n")
        await history.history(races=1)
        assert "second" in (await ledger("ledger_sealer", "seal", "--once"))[1]

        status, head = await ledger("ledger_reader", "seals", "head")
        number, _, hash = head.strip().partition(":")
        assert (status, number) == (0, "2")
        assert hash in (await ledger("ledger_reader", "seals", "list"))[1]
        status, told = await ledger("ledger_reader", "journal", "export", "--out", str(tmp_path / "export"))
        assert (status, "entries 1 to 18 under 2 seals" in told, f"head {head}" in told) == (0, True, True)
        status, told = await run_tool(
            "journal", str(tmp_path / "export"), "--trust", str(trust), "--head", head.strip()
        )
        assert status == 0, told

        for wrong in (
            ("--from", "19"),
            ("--to", "99"),
            ("--from", "5", "--to", "4"),
            ("--ledger", "nowhere"),
        ):
            status, told = await ledger(
                "ledger_reader", "journal", "export", *wrong, "--out", str(tmp_path / "no")
            )
            assert status == 1, told

        assert (await ledger("ledger_reader", "verify")) == (0, "2 seals checked, 0 wrong\n")
        async with connected(bank.database, "superuser") as connection:
            await connection.execute(
                "SET session_replication_role = replica; UPDATE entry SET reference = 'x' WHERE sequence = 3"
            )
        status, told = await ledger("ledger_reader", "verify")
        assert status == 1
        assert "seal 1 (entries 1 to 12): the entries are not those that were sealed" in told
        assert "2 seals checked, 1 wrong" in told
