"""Exports of a journal that goes on: older heads, keys that follow one another, seals by page."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger.domain.seals import seal_hash
from ledger.sealing import SealingKeys, make_key, rotate_key

from services.ledger.tests.door import Door
from services.ledger.tests.sealed import SealedBank, change_manifest, head_of, twelve_entries
from services.ledger.tests.vocabulary import Bank
from tools.verify_journal import canonical

Json = dict[str, Any]


@pytest.fixture
async def sealed(bank: Bank, tmp_path: Path) -> AsyncIterator[SealedBank]:
    async with twelve_entries(bank, tmp_path) as made:
        yield made


async def test_an_older_head_is_on_the_chain(sealed: SealedBank) -> None:
    _, before = await sealed.export()
    await sealed.history(races=1)
    await sealed.sealer.seal_due()
    folder, export = await sealed.export()
    assert export.last == 18
    assert (await sealed.verify(folder, head_of(before)))[0] == 0
    assert (await sealed.verify(folder, head_of(export)))[0] == 0


async def test_what_lies_beyond_the_head_is_said_to_have_only_a_key_for_it(sealed: SealedBank) -> None:
    """A head from before a rotation, and a thief with the key that was replaced, who leaves the rotation out."""
    _, before = await sealed.export()
    await sealed.history(races=1)
    await sealed.sealer.seal_due()
    folder, export = await sealed.export()
    status, told = await sealed.verify(folder, head_of(before))
    assert (status, "the entries from 13 on are beyond your head" in told) == (0, True), told
    status, told = await sealed.verify(folder, head_of(export))
    assert (status, "beyond your head" in told) == (0, False), told


async def rotated(sealed: SealedBank) -> None:
    make_key(sealed.key_file, "seal-2")
    keys = SealingKeys.load(sealed.key_file)
    await rotate_key(sealed.sealer._pool, keys, 1, "el-carril", "seal-2")
    await sealed.history(races=1)
    assert {each.key for each in await sealed.sealer.seal_due()} == {"seal-2"}


async def test_an_endorsed_key_is_trusted_from_its_seal_on(sealed: SealedBank) -> None:
    await rotated(sealed)
    folder, export = await sealed.export()
    assert (await sealed.verify(folder, head_of(export)))[0] == 0


async def test_an_endorsement_by_nobody_is_found(sealed: SealedBank) -> None:
    """A thief of the database makes a key of their own and endorses it with itself."""
    await rotated(sealed)
    folder, export = await sealed.export()
    thief = Ed25519PrivateKey.generate()

    def forge(manifest: Json) -> None:
        key = manifest["keys"][1]
        said = json.loads(key["endorsement"]) | {"public_key": thief.public_key().public_bytes_raw().hex()}
        key |= {
            "public_key": b64encode(thief.public_key().public_bytes_raw()).decode(),
            "endorsement": canonical(said).decode(),
            "signature": b64encode(thief.sign(canonical(said))).decode(),
        }

    change_manifest(folder, forge)
    status, told = await sealed.verify(folder, head_of(export))
    assert (status, "endorsement of key seal-2 is not signed by seal-1" in told) == (1, True), told


async def test_a_key_that_was_replaced_signs_no_more(sealed: SealedBank) -> None:
    await rotated(sealed)
    folder, export = await sealed.export()
    seed = b64decode(json.loads(sealed.key_file.read_text())["seal-1"])
    old = Ed25519PrivateKey.from_private_bytes(seed)

    def forge(manifest: Json) -> None:
        last = manifest["seals"][-1]
        statement = canonical(json.loads(last["statement"]) | {"key": "seal-1"})
        last |= {
            "statement": statement.decode(), "hash": seal_hash(statement).hex(),
            "signature": b64encode(old.sign(statement)).decode(),
        }  # fmt: skip

    change_manifest(folder, forge)
    status, told = await sealed.verify(folder, head_of(export))
    assert (status, "not the key of its day" in told) == (1, True), told


@pytest.mark.usefixtures("sealed")
async def test_seals_are_shown_by_page_and_by_number(door: Door) -> None:
    key = (await door.key()).secret
    _, first = await door.ask(key, "GET", "/v1/seals?limit=2")
    _, second = await door.ask(key, "GET", f"/v1/seals?limit=2&after={first['next']}")
    seals = [*first["seals"], *second["seals"]]
    assert [(seal["number"], seal["first"], seal["last"]) for seal in seals] == [
        (1, 1, 5),
        (2, 6, 10),
        (3, 11, 12),
    ]
    assert second["next"] is None
    assert (await door.ask(key, "GET", "/v1/seals/2"))[1]["hash"] == seals[1]["hash"]
    for missing in ("4", "0", "02", "+2", "x", "9" * 30):
        status, told = await door.ask(key, "GET", f"/v1/seals/{missing}")
        assert (status, told["type"]) == (404, "/problems/seal-not-found")
