"""Proofs that an entry is sealed: every entry has one that holds offline, and a changed one does not."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.ledger.tests.door import Door
from services.ledger.tests.sealed import SealedBank, lines_of, run_tool, twelve_entries
from services.ledger.tests.vocabulary import Bank

Json = dict[str, Any]
Lines = list[Json]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_entry_has_a_proof_that_holds(
    twelve: SealedBank, door_of_twelve: Door, tmp_path: Path
) -> None:
    key, trust, file = (await door_of_twelve.key()).secret, await twelve.trust(), tmp_path / "proof.json"
    ids = [line["id"] for line in lines_of((await twelve.export())[0])]
    for id in ids:
        status, proof = await door_of_twelve.ask(key, "GET", f"/v1/entries/{id}/proof")
        assert status == 200
        file.write_text(json.dumps(proof))
        status, told = await run_tool("proof", str(file), "--trust", str(trust))
        assert (status, id in told) == (0, True), told


def _posting(proof: Json) -> None:
    proof["postings"]["1"]["amount"] = "1000000.00"


def _header(proof: Json) -> None:
    proof["header"]["reference"] = "markets/another"


def _index(proof: Json) -> None:
    proof["index"] = (proof["index"] + 1) % proof["size"]


def _path(proof: Json) -> None:
    proof["path"][0] = "00" * 32


def _shorter_path(proof: Json) -> None:
    proof["path"].pop()


def _longer_path(proof: Json) -> None:
    proof["path"].append("00" * 32)


def _root(proof: Json) -> None:
    proof["seal"]["statement"] = proof["seal"]["statement"].replace('"root":"', '"root":"00')


def _signature(proof: Json) -> None:
    proof["seal"]["signature"] = b64encode(bytes(64)).decode()


def _leg_of_another_number(proof: Json) -> None:
    proof["postings"]["0"] = proof["postings"].pop("1")


def _leg_counted_from_the_end(proof: Json) -> None:
    proof["postings"]["-1"] = proof["postings"]["1"]


def _shown_hash(proof: Json) -> None:
    proof["seal"]["hash"] = "00" * 32


def _shown_number(proof: Json) -> None:
    proof["seal"]["number"] = 2


def _shown_date(proof: Json) -> None:
    proof["seal"]["sealed_at"] = "2020-01-01T00:00:00Z"


def _form(proof: Json) -> None:
    proof["v"] = 2


def _no_hash(proof: Json) -> None:
    del proof["seal"]["hash"]


def _shape(proof: Json) -> None:
    proof["postings"] = []


@pytest.mark.parametrize(
    "change",
    [
        _posting,
        _header,
        _index,
        _path,
        _shorter_path,
        _longer_path,
        _root,
        _signature,
        _leg_of_another_number,
        _leg_counted_from_the_end,
        _shown_hash,
        _shown_number,
        _shown_date,
        _form,
        _no_hash,
        _shape,
    ],
)
async def test_a_changed_proof_does_not_hold(
    twelve: SealedBank, door_of_twelve: Door, tmp_path: Path, change: Callable[[Json], None]
) -> None:
    key, file = (await door_of_twelve.key()).secret, tmp_path / "proof.json"
    id = lines_of((await twelve.export())[0])[3]["id"]
    _, proof = await door_of_twelve.ask(key, "GET", f"/v1/entries/{id}/proof")
    change(proof)
    file.write_text(json.dumps(proof))
    status, told = await run_tool("proof", str(file), "--trust", str(await twelve.trust()))
    assert (status, "Traceback" in told) == (1, False), told


async def test_a_proof_that_two_readers_read_differently_does_not_hold(
    twelve: SealedBank, door_of_twelve: Door, tmp_path: Path
) -> None:
    """Whoever is shown a thousand must not be told that it is sound because ten are said afterwards."""
    key, file, trust = (await door_of_twelve.key()).secret, tmp_path / "proof.json", str(await twelve.trust())
    id = lines_of((await twelve.export())[0])[3]["id"]
    _, proof = await door_of_twelve.ask(key, "GET", f"/v1/entries/{id}/proof")
    amount = f'"amount": "{proof["postings"]["1"]["amount"]}"'
    text = json.dumps(proof)
    file.write_text(text.replace(amount, f'"amount": "1000.00", {amount}', 1))
    assert file.read_text() != text
    status, told = await run_tool("proof", str(file), "--trust", trust)
    assert (status, "named twice" in told) == (2, True), told


async def test_a_head_is_never_left_out(twelve: SealedBank, door_of_twelve: Door, tmp_path: Path) -> None:
    """A proof stands alone: a head of another seal says nothing about it, and is not passed over."""
    key, file, trust = (await door_of_twelve.key()).secret, tmp_path / "proof.json", str(await twelve.trust())
    id = lines_of((await twelve.export())[0])[3]["id"]
    _, proof = await door_of_twelve.ask(key, "GET", f"/v1/entries/{id}/proof")
    file.write_text(json.dumps(proof))
    for head, expected in (
        (f"1:{proof['seal']['hash']}", 0),
        (f"1:{'00' * 32}", 1),
        (f"2:{proof['seal']['hash']}", 1),
    ):
        status, told = await run_tool("proof", str(file), "--trust", trust, "--head", head)
        assert status == expected, told


@pytest.mark.asyncio(loop_scope="function")
async def test_an_entry_that_is_not_sealed_yet_says_so(bank: Bank, door: Door, tmp_path: Path) -> None:
    async with twelve_entries(bank, tmp_path) as sealed:
        (last, *_) = reversed(await sealed.history(races=1))
    key = (await door.key()).secret
    status, told = await door.ask(key, "GET", f"/v1/entries/{last}/proof")
    assert (status, told["type"], told["headers"]["Retry-After"]) == (409, "/problems/not-sealed-yet", "10")
