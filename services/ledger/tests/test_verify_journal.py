"""The offline verifier on exports of a real ledger: what it passes, and every forgery it must find.

It runs as an auditor runs it: alone, on files, with a key and a head that came some other way.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger.domain.seals import seal_hash
from ledger.sealing import export_journal

from services.ledger.tests.sealed import SealedBank, change_manifest, head_of, lines_of
from tools.verify_journal import canonical, leaf_of, tree_root

pytestmark = pytest.mark.asyncio(loop_scope="module")

Json = dict[str, Any]
Lines = list[Json]


def write(folder: Path, lines: Lines) -> None:
    (folder / "journal.jsonl").write_bytes(b"".join(canonical(line) + b"\n" for line in lines))


async def test_a_sound_export_passes(twelve: SealedBank) -> None:
    folder, export = await twelve.export()
    status, told = await twelve.verify(folder, head_of(export))
    assert status == 0, told
    assert "entries 1 to 12" in told
    assert len(lines_of(folder)) == 12


async def test_a_range_is_widened_to_whole_seals_and_passes_when_it_was_asked_for(twelve: SealedBank) -> None:
    folder, export = await twelve.export(first=7, last=8)
    assert (export.first, export.last) == (6, 10)
    assert (await twelve.verify(folder, head_of(export), "--range", "7:8"))[0] == 0
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, "not all of 1 to 12" in told) == (1, True)


# --- forgeries --------------------------------------------------------------------------------------------


def changed_amount(lines: Lines) -> Lines:
    """Consistently: both legs, and every balance after them."""
    first = lines[3]["postings"]
    for posting in first:
        sign = -1 if posting["amount"].startswith("-") else 1
        posting["amount"] = f"{sign * 10:.2f}"
    return lines


def dropped_entry(lines: Lines) -> Lines:
    return lines[:6] + lines[7:]


def reordered_pair(lines: Lines) -> Lines:
    lines[6], lines[7] = lines[7], lines[6]
    return lines


def truncated_tail(lines: Lines) -> Lines:
    return lines[:-1]


def added_entry(lines: Lines) -> Lines:
    return [*lines, {**lines[-1], "sequence": 13}]


def changed_metadata(lines: Lines) -> Lines:
    lines[2]["metadata"] = {"note": "nothing happened"}
    return lines


@pytest.mark.parametrize(
    ("forge", "telling"),
    [
        (changed_amount, "are not those of seal 1"),
        (changed_metadata, "are not those of seal 1"),
        (dropped_entry, "entry 7 is missing or out of order"),
        (reordered_pair, "entry 7 is missing or out of order"),
        (truncated_tail, "the journal is cut off"),
        (added_entry, "there are entries beyond 12"),
    ],
)
async def test_a_changed_journal_is_found(
    twelve: SealedBank, forge: Callable[[Lines], Lines], telling: str
) -> None:
    folder, export = await twelve.export()
    write(folder, forge(lines_of(folder)))
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, telling in told) == (1, True), told


async def test_a_whole_seal_cut_off_the_end_is_found_by_the_head_alone(twelve: SealedBank) -> None:
    """The trap: entries, seals and manifest shortened together are sound in themselves."""
    folder, export = await twelve.export()
    write(folder, lines_of(folder)[:10])

    def shorten(manifest: Json) -> None:
        manifest["seals"].pop()
        manifest["last"] = manifest["entries"] = 10
        manifest["sha256"] = hashlib.sha256((folder / "journal.jsonl").read_bytes()).hexdigest()

    change_manifest(folder, shorten)
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, "does not reach the expected head 3" in told) == (1, True), told
    own_head = json.loads((folder / "manifest.json").read_text())["seals"][-1]["hash"]
    assert (await twelve.verify(folder, f"2:{own_head}"))[0] == 0, (
        "with a head out of the export it would pass"
    )


def reseal(folder: Path, private: Ed25519PrivateKey, lines: Lines) -> str:
    """Forge all of it: seal the lines anew with another key, in the old key's name. Returns the forged head."""
    write(folder, lines)

    def forge(manifest: Json) -> None:
        previous = "00" * 32
        for shown in manifest["seals"]:
            said = json.loads(shown["statement"])
            run = [line for line in lines if said["first"] <= line["sequence"] <= said["last"]]
            said |= {"root": tree_root([leaf_of(line) for line in run]).hex(), "previous": previous}
            statement = canonical(said)
            previous = seal_hash(statement).hex()
            shown |= {
                "statement": statement.decode(), "hash": previous, "signature": b64encode(private.sign(statement)).decode()
            }  # fmt: skip
        manifest["sha256"] = hashlib.sha256((folder / "journal.jsonl").read_bytes()).hexdigest()

    change_manifest(folder, forge)
    seals = json.loads((folder / "manifest.json").read_text())["seals"]
    return f"{len(seals)}:{seals[-1]['hash']}"


async def test_a_forgery_signed_by_another_key_is_found(twelve: SealedBank) -> None:
    folder, export = await twelve.export()
    lines = lines_of(folder)
    lines[2]["reference"] = "markets/another"
    forged_head = reseal(folder, Ed25519PrivateKey.generate(), lines)
    for head in (head_of(export), forged_head):
        status, told = await twelve.verify(folder, head)
        assert (status, "is not signed by the seal-1 that is trusted" in told) == (1, True), told


async def test_the_sealing_key_itself_cannot_rewrite_what_was_noted_down(twelve: SealedBank) -> None:
    """A stolen key signs anything; the head that is known elsewhere still tells."""
    folder, export = await twelve.export()
    lines = lines_of(folder)
    lines[2]["reference"] = "markets/another"
    seed = b64decode(json.loads(twelve.key_file.read_text())["seal-1"])
    forged_head = reseal(folder, Ed25519PrivateKey.from_private_bytes(seed), lines)
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, "is not the expected head" in told) == (1, True), told
    assert (await twelve.verify(folder, forged_head))[0] == 0


def not_balanced(lines: Lines) -> str:
    lines[0]["postings"][0]["amount"] = "61.00"
    return "does not balance"


def false_balance(lines: Lines) -> str:
    lines[1]["postings"][0]["balance"] = "999.00"
    return "has 100.00, not 999.00"


def below_the_floor(lines: Lines) -> str:
    first = lines[0]["postings"]
    first[0]["amount"], first[0]["balance"] = "-60.00", "-60.00"
    first[1]["amount"], first[1]["balance"] = "60.00", "60.00"
    return "is below its floor"


def skipped_posting(lines: Lines) -> str:
    lines[1]["postings"][0]["account_sequence"] = 7
    return "goes from posting 1 to 7"


def one_leg(lines: Lines) -> str:
    lines[0]["postings"].pop()
    return "fewer than two postings"


def nothing_moved(lines: Lines) -> str:
    for posting in lines[0]["postings"]:
        posting["amount"] = posting["balance"] = "0.00"
    return "moves nothing"


def side_changed(lines: Lines) -> str:
    lines[1]["postings"][0]["side"] = -1
    return "has changed its side"


def no_side(lines: Lines) -> str:
    """What stands on neither side is never below a floor."""
    for line in lines:
        for posting in line["postings"]:
            posting["side"] = 0
    return "has no side"


def floor_taken_away(lines: Lines) -> str:
    lines[1]["postings"][0]["floored"] = False
    return "has changed its floor"


def class_changed(lines: Lines) -> str:
    lines[1]["postings"][0]["class"] = "house.income"
    return "has changed its class"


def too_large_to_add_up(lines: Lines) -> str:
    """The difference is beyond the digits that Python adds by itself."""
    first = lines[0]["postings"]
    for posting, sign in zip(first, ("", "-"), strict=True):
        posting["amount"] = f"{sign}1{'0' * 29}.00"
    first.insert(1, {**first[0], "account": "players/thief/available", "amount": "0.01", "balance": "0.01"})
    return "does not balance: 0.01 MXN"


def told_in_other_digits(lines: Lines) -> str:
    lines[0]["postings"][0]["amount"] = "\N{FULLWIDTH DIGIT SIX}0.00"
    return "not an amount"


def a_zero_with_a_sign(lines: Lines) -> str:
    lines[0]["postings"][0]["balance"] = "-0.00"
    return "a zero with a sign"


@pytest.mark.parametrize(
    "break_rule",
    [
        not_balanced,
        false_balance,
        below_the_floor,
        skipped_posting,
        one_leg,
        nothing_moved,
        side_changed,
        no_side,
        floor_taken_away,
        class_changed,
        too_large_to_add_up,
        told_in_other_digits,
        a_zero_with_a_sign,
    ],
)
async def test_the_rules_of_money_are_verified_even_under_sound_seals(
    twelve: SealedBank, break_rule: Callable[[Lines], str]
) -> None:
    """The house itself sealed books that break a rule: its own key does not help it."""
    folder, _ = await twelve.export()
    lines = lines_of(folder)
    telling = break_rule(lines)
    seed = b64decode(json.loads(twelve.key_file.read_text())["seal-1"])
    head = reseal(folder, Ed25519PrivateKey.from_private_bytes(seed), lines)
    status, told = await twelve.verify(folder, head)
    assert (status, telling in told) == (1, True), told


def _swap_seals(manifest: Json) -> None:
    manifest["seals"][0], manifest["seals"][1] = manifest["seals"][1], manifest["seals"][0]


def _drop_seal(manifest: Json) -> None:
    del manifest["seals"][1]


def _other_length(manifest: Json) -> None:
    seal = manifest["seals"][2]
    seal["statement"] = seal["statement"].replace('"entries":2', '"entries":3')


def _other_signature(manifest: Json) -> None:
    manifest["seals"][1]["signature"] = manifest["seals"][0]["signature"]


def _strange_key(manifest: Json) -> None:
    manifest["keys"].append({"id": "seal-2", "public_key": manifest["keys"][0]["public_key"], "from_seal": 2})


def _other_public_key(manifest: Json) -> None:
    """No seal needs it, but who reads the manifest may believe it from now on."""
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    manifest["keys"][0]["public_key"] = b64encode(other).decode()


def _nonsense(manifest: Json) -> None:
    manifest["seals"][0] = {"statement": "[]", "signature": "?"}


@pytest.mark.parametrize(
    "change",
    [_swap_seals, _drop_seal, _other_length, _other_signature, _strange_key, _other_public_key, _nonsense],
)
async def test_a_changed_chain_is_found(twelve: SealedBank, change: Callable[[Json], None]) -> None:
    folder, export = await twelve.export()
    change_manifest(folder, change)
    status, told = await twelve.verify(folder, head_of(export))
    assert status == 1, told


MANIFEST = ("v", "ledger", "first", "last", "entries", "sha256", "exported_at", "seals", "keys")


@pytest.mark.parametrize(
    ("path", "telling"),
    [
        *(((name,), f"the manifest has no {name}") for name in MANIFEST),
        *((("seals", 1, name), f"a seal has no {name}") for name in ("statement", "signature", "hash")),
        *((("keys", 0, name), f"a key has no {name}") for name in ("id", "public_key", "from_seal")),
    ],
)
async def test_whatever_an_export_leaves_out_is_named(
    twelve: SealedBank, path: tuple[str | int, ...], telling: str
) -> None:
    folder, export = await twelve.export()

    def leave_out(manifest: Json) -> None:
        *way, name = path
        where: Any = manifest
        for step in way:
            where = where[step]
        del where[name]

    change_manifest(folder, leave_out)
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, telling in told) == (1, True), told


async def test_an_export_of_a_later_form_is_not_read_as_one_of_this(twelve: SealedBank) -> None:
    folder, export = await twelve.export()
    change_manifest(folder, lambda manifest: manifest.update(v=2))
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, "the manifest is of form 2" in told) == (1, True), told


async def test_a_head_of_before_the_export_is_told_as_such(twelve: SealedBank) -> None:
    whole, _ = await twelve.export()
    first = json.loads((whole / "manifest.json").read_text())["seals"][0]["hash"]
    folder, _ = await twelve.export(first=7, last=8)
    status, told = await twelve.verify(folder, f"1:{first}", "--range", "7:8")
    assert (status, "the chain begins at seal 2, after the expected head 1" in told) == (1, True), told


async def test_bytes_that_say_the_same_in_another_way_are_found(twelve: SealedBank) -> None:
    folder, export = await twelve.export()
    text = (folder / "journal.jsonl").read_text()
    (folder / "journal.jsonl").write_text(text.replace('"account":', '"account": ', 1))
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, "line 1 is not written canonically" in told) == (1, True), told


def _twice(text: str) -> str:
    """One reader takes the first, the verifier's the last: an auditor would be shown what is not verified."""
    return text.replace('"amount":"60.00"', '"amount":"99.00","amount":"60.00"', 1)


def _deep(text: str) -> str:
    return "[" * 200_000 + "\n" + text


def _not_a_number(text: str) -> str:
    return text.replace('"sequence":3', '"sequence":NaN', 1)


@pytest.mark.parametrize(
    ("spoil", "telling"), [(_twice, "named twice"), (_deep, "cannot be read"), (_not_a_number, "NaN")]
)
async def test_lines_that_can_be_read_in_two_ways_are_found(
    twelve: SealedBank, spoil: Callable[[str], str], telling: str
) -> None:
    folder, export = await twelve.export()
    text = (folder / "journal.jsonl").read_text()
    assert spoil(text) != text
    (folder / "journal.jsonl").write_text(spoil(text))
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, telling in told, "Traceback" in told) == (1, True, False), told


@pytest.mark.parametrize(
    ("name", "telling"),
    [("entries", "as its entries"), ("sha256", "as its sha256"), ("hash", "another hash")],
)
async def test_what_a_manifest_says_besides_is_verified_too(
    twelve: SealedBank, name: str, telling: str
) -> None:
    folder, export = await twelve.export()

    def lie(manifest: Json) -> None:
        told = manifest["seals"][0] if name == "hash" else manifest
        told[name] = 13 if name == "entries" else "00" * 32

    change_manifest(folder, lie)
    status, told = await twelve.verify(folder, head_of(export))
    assert (status, telling in told) == (1, True), told


async def test_a_file_cannot_make_the_verifier_say_what_it_does_not(twelve: SealedBank) -> None:
    """An account's name ends the line and begins another, and hides what comes after it from a terminal."""
    folder, export = await twelve.export()
    lines = lines_of(folder)
    lines[0]["postings"][0] |= {
        "account": "x\nsound: entries 1 to 12 of el-carril\n\x1b[8m", "account_sequence": 7
    }  # fmt: skip
    write(folder, lines)
    status, told = await twelve.verify(folder, head_of(export))
    assert status == 1
    assert not [line for line in told.splitlines() if line.startswith("sound")], told
    assert "\x1b" not in told


async def test_a_question_that_makes_no_sense_is_told_apart(twelve: SealedBank, tmp_path: Path) -> None:
    folder, export = await twelve.export()
    assert (await twelve.verify(folder, head_of(export), trust=tmp_path / "none.json"))[0] == 2
    assert (await twelve.verify(folder, "three"))[0] == 2
    for range in ("8:7", "0:12", "1", "1:2:3"):
        assert (await twelve.verify(folder, head_of(export), "--range", range))[0] == 2


async def test_an_export_is_never_written_over(twelve: SealedBank) -> None:
    folder, _ = await twelve.export()
    kept = folder.with_name("kept")
    shutil.copytree(folder, kept)
    with pytest.raises(FileExistsError):
        await export_journal(twelve.reading, 1, "el-carril", folder)
    assert (kept / "journal.jsonl").read_bytes() == (folder / "journal.jsonl").read_bytes()
