#!/usr/bin/env python3
"""Verify El Carril's books without El Carril: needs this file, Python 3.11 and `cryptography`, and no network.

    verify_journal.py journal FOLDER --trust KEYS.json --head NUMBER:HASH [--range FIRST:LAST]
    verify_journal.py proof PROOF.json --trust KEYS.json [--head NUMBER:HASH]

FOLDER is what `python -m ledger journal export` wrote; PROOF.json is an answer of `/v1/entries/{id}/proof`, or
of `/v1/wallet/entries/{id}/proof`, which a player gets of their own.
KEYS.json holds the public keys you trust, {id: base64}, and the head is a seal's number and hash that you noted
down: both must have reached you some other way than the export, for an export can be forged as a whole, and one
whose end is cut off is sound in itself. Later keys are accepted if a trusted one endorsed them.

The export must hold every entry up to your head; with --range it must hold those entries, and the balances at its
beginning are taken from it. Exit status: 0 sound, 1 findings (one a line), 2 the question made no sense.

What is verified: the chain of seals, their signatures, their lengths; that the entries are those that were
sealed, all of them and in order; that each entry balances per currency and has two postings or more; that each
account's postings are numbered without a gap, each balance is the one before plus the amount, and no balance of a
floored account is below zero; that an account stays what it was opened as; that all balances add up to zero. What a
file says besides (lengths, hashes, dates) must be what was signed. Entries beyond your head are vouched for by keys
alone, which is said. How it is encoded: docs/adr/0030-seals.md.
"""

from __future__ import annotations

import argparse
import decimal
import hashlib
import json
import re
import sys
from base64 import b64decode
from binascii import Error as NotBase64
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = dict[str, Any]
MOST_FINDINGS = 50
EXACT = decimal.Context(
    prec=120, traps=[decimal.Inexact, decimal.InvalidOperation, decimal.Overflow, decimal.FloatOperation]
)
"""For sums: one that cannot be told to the last digit is an error, not nearly right."""
AMOUNT = re.compile(r"-?(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,12})?")
FORM = 1
"""The form of manifests and proofs that is read here."""
MANIFEST = ("ledger", "first", "last", "entries", "sha256", "exported_at", "seals", "keys")
PROOF = ("header", "postings", "index", "size", "path", "seal", "keys")
UNREADABLE = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading comes to when a file has another shape than it must have."""


class Wrong(Exception):
    """Something that is not as it must be. The rest cannot be judged."""


@dataclass(frozen=True)
class Head:
    """A seal that is known from elsewhere."""

    number: int
    hash: str


@dataclass(frozen=True)
class Seal:
    """A seal whose statement has been read; `hash` is computed here, not believed."""

    number: int
    first: int
    last: int
    root: str
    previous: str
    key: str
    ledger: str
    hash: str
    statement: bytes
    signature: bytes


@dataclass
class Account:
    """Where an account stands while the journal is replayed."""

    sequence: int
    balance: Decimal
    opened_as: tuple[object, ...]
    """Its side, its class, and whether it may fall below zero."""


@dataclass
class Findings:
    """What is wrong, in words; only so many are kept."""

    found: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        if len(self.found) < MOST_FINDINGS:
            self.found.append(what)


def canonical(value: object) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# --- Merkle trees (RFC 6962 §2.1) -------------------------------------------------------------------------


def tree_root(leaves: list[bytes]) -> bytes:
    """By the RFC's own recursion: split at the largest power of two below the number of leaves."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01", tree_root(leaves[:split]), tree_root(leaves[split:]))


def root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to (RFC 9162 §2.1.3.2). Raises `Wrong` for a path of another length."""
    if not 0 <= index < size:
        raise Wrong("the proof's index is outside of its tree")
    node, last, at = leaf, size - 1, index
    for sibling in path:
        if last == 0:
            raise Wrong("the proof's path is too long")
        if at & 1 or at == last:
            node = sha256(b"\x01", sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\x01", node, sibling)
        at, last = at >> 1, last >> 1
    if last != 0:
        raise Wrong("the proof's path is too short")
    return node


# --- keys and seals ---------------------------------------------------------------------------------------


class Keys:
    """Trusted keys, and those they endorsed. A key signs from its first seal to its successor's."""

    def __init__(self, trusted: Json, shown: list[Json], ledger: str) -> None:
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._starts: list[tuple[int, str]] = []
        for id, text in trusted.items():
            self._keys[id] = Ed25519PublicKey.from_public_bytes(_base64(text, f"trusted key {id}"))
        for each in shown:
            _require(each, ("id", "public_key", "from_seal"), "a key")
        for each in sorted(shown, key=lambda key: _whole(key["from_seal"])):
            self._accept(each, ledger)

    def _accept(self, shown: Json, ledger: str) -> None:
        id, public = str(shown["id"]), _base64(shown["public_key"], f"key {shown['id']}")
        start = _whole(shown["from_seal"])
        if id in self._keys and self._keys[id].public_bytes_raw() != public:
            raise Wrong(f"key {id} is shown with another public key than is trusted")
        if shown.get("endorsement"):
            text = str(shown["endorsement"]).encode()
            said = _read(text, "an endorsement")
            wanted = {
                "v": 1,
                "type": "seal-key",
                "ledger": ledger,
                "key": id,
                "public_key": public.hex(),
                "from_seal": start,
            }
            if {name: value for name, value in said.items() if name != "endorsed_by"} != wanted:
                raise Wrong(f"the endorsement of key {id} says something else")
            if not self._starts or said["endorsed_by"] != self._starts[-1][1]:
                raise Wrong(f"key {id} is not endorsed by the key before it")
            endorser = self._keys.get(said["endorsed_by"])
            if endorser is not None and not _verifies(endorser, shown["signature"], text):
                raise Wrong(f"the endorsement of key {id} is not signed by {said['endorsed_by']}")
            if endorser is not None and id not in self._keys:
                self._keys[id] = Ed25519PublicKey.from_public_bytes(public)
        elif start != 1:
            raise Wrong(f"key {id} begins at seal {start} and nobody endorsed it")
        self._starts.append((start, id))

    def check(self, seal: Seal) -> None:
        """Raises `Wrong` unless the seal is signed by the key of its day, and that key is trusted."""
        of_the_day = [id for start, id in self._starts if start <= seal.number]
        if not of_the_day or of_the_day[-1] != seal.key:
            raise Wrong(
                f"seal {seal.number} is signed in the name of {seal.key}, which is not the key of its day"
            )
        key = self._keys.get(seal.key)
        if key is None:
            raise Wrong(f"seal {seal.number} is signed by {seal.key}, which is not trusted")
        try:
            key.verify(seal.signature, seal.statement)
        except InvalidSignature:
            raise Wrong(f"seal {seal.number} is not signed by the {seal.key} that is trusted") from None


def read_seal(shown: Json) -> Seal:
    """A seal from its statement alone. Raises `Wrong`."""
    _require(shown, ("statement", "signature", "hash"), "a seal")
    statement = str(shown["statement"]).encode()
    said = _read(statement, "a seal")
    if said.get("v") != 1 or said.get("type") != "seal":
        raise Wrong("a statement is not a seal's")
    seal = Seal(
        said["number"], said["first"], said["last"], said["root"], said["previous"], said["key"], said["ledger"],
        sha256(b"\x02", statement).hex(), statement, _base64(shown["signature"], f"the signature of seal {said['number']}"),
    )  # fmt: skip
    if said["entries"] != seal.last - seal.first + 1 or seal.last < seal.first:
        raise Wrong(f"seal {seal.number} says a length that is not its range's")
    signed = {**said, "hash": seal.hash}
    for name, value in shown.items():
        if name in signed and value != signed[name] and not _same_moment(name, value, signed[name]):
            raise Wrong(f"seal {seal.number} is shown with another {name} than was signed")
    return seal


def _same_moment(name: str, shown: object, signed: object) -> bool:
    """A moment may be written in more than one way."""
    return name == "sealed_at" and datetime.fromisoformat(str(shown)) == datetime.fromisoformat(str(signed))


def check_chain(seals: list[Seal], keys: Keys, ledger: str, head: Head) -> None:
    """Raises `Wrong` unless the seals follow one another without a gap, are signed, and pass through the head."""
    if not seals:
        raise Wrong("there are no seals")
    if seals[0].number == 1 and (seals[0].previous != "00" * 32 or seals[0].first != 1):
        raise Wrong("the first seal does not begin at the beginning")
    for before, seal in zip([None, *seals[:-1]], seals, strict=True):
        if seal.ledger != ledger:
            raise Wrong(f"seal {seal.number} is another ledger's")
        if before and (seal.number, seal.first) != (before.number + 1, before.last + 1):
            raise Wrong(f"seal {seal.number} does not join seal {before.number}")
        if before and seal.previous != before.hash:
            raise Wrong(f"seal {seal.number} names another seal before it")
        keys.check(seal)
    at_head = [seal for seal in seals if seal.number == head.number]
    if head.number < seals[0].number:
        raise Wrong(f"the chain begins at seal {seals[0].number}, after the expected head {head.number}")
    if not at_head:
        raise Wrong(
            f"the chain ends at seal {seals[-1].number} and does not reach the expected head {head.number}"
        )
    if at_head[0].hash != head.hash:
        raise Wrong(f"seal {head.number} is not the expected head")


# --- the journal ------------------------------------------------------------------------------------------


class Replay:
    """Goes through the entries in order and keeps every account's balance."""

    def __init__(self, findings: Findings, ledger: str, *, whole: bool) -> None:
        """`whole`: the entries begin at the first, so every account begins at zero."""
        self._findings = findings
        self._ledger = ledger
        self._whole = whole
        self.accounts: dict[tuple[str, str], Account] = {}

    def take(self, entry: Json) -> None:
        """Check one entry's rules and move the balances."""
        sequence, postings = _whole(entry["sequence"]), entry["postings"]
        if entry["ledger"] != self._ledger:
            self._findings.add(f"entry {sequence} is of another ledger")
        if len(postings) < 2:
            self._findings.add(f"entry {sequence} has fewer than two postings")
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for posting in postings:
            sums[posting["currency"]] += self._move(sequence, posting)
        for currency, rest in sums.items():
            if rest != 0:
                self._findings.add(f"entry {sequence} does not balance: {rest} {currency}")

    def _move(self, sequence: int, posting: Json) -> Decimal:
        amount, balance = _amount(posting["amount"]), _amount(posting["balance"])
        name = posting["account"], posting["currency"]
        side, number = _whole(posting["side"]), _whole(posting["account_sequence"])
        opened_as = side, posting["class"], posting["floored"]
        state = self.accounts.get(name)
        if state is None:
            begun = (0, Decimal(0)) if self._whole else (number - 1, balance - amount)
            state = self.accounts[name] = Account(*begun, opened_as)
        if side not in (1, -1):
            self._findings.add(f"entry {sequence}: {name[0]} has no side")
        if amount == 0:
            self._findings.add(f"entry {sequence} moves nothing on {name[0]}")
        if number != state.sequence + 1:
            self._findings.add(f"entry {sequence}: {name[0]} goes from posting {state.sequence} to {number}")
        if balance != state.balance + amount:
            self._findings.add(f"entry {sequence}: {name[0]} has {state.balance + amount}, not {balance}")
        for what, now, once in zip(("side", "class", "floor"), opened_as, state.opened_as, strict=True):
            if now != once:
                self._findings.add(f"entry {sequence}: {name[0]} has changed its {what}")
        if posting["floored"] is not False and balance * side < 0:
            self._findings.add(f"entry {sequence}: {name[0]} is below its floor")
        state.sequence, state.balance = number, balance
        return amount

    def close(self) -> dict[str, Decimal]:
        """What all balances add up to, by currency: zero, if the journal begins at its first entry."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for (_, currency), state in self.accounts.items():
            sums[currency] += state.balance
        if self._whole:
            for currency, rest in sums.items():
                if rest != 0:
                    self._findings.add(f"all balances together are {rest} {currency}, not zero")
        return sums


def leaf_of(entry: Json) -> bytes:
    """The entry's leaf: its header with its postings by their digests."""
    digests = [sha256(b"\x03", canonical(posting)).hex() for posting in entry["postings"]]
    return sha256(b"\x00", canonical({**entry, "postings": digests}))


def _amount(text: object) -> Decimal:
    """A decimal as amounts are sealed. Raises `ValueError`."""
    if not isinstance(text, str) or AMOUNT.fullmatch(text) is None:
        raise ValueError(f"not an amount: {text!r}")
    amount = Decimal(text)
    if amount == 0 and text.startswith("-"):
        raise ValueError("a zero with a sign")
    return amount


def _whole(number: object) -> int:
    """Raises `ValueError` for what is no whole number."""
    if type(number) is not int:
        raise ValueError(f"not a whole number: {number!r}")
    return number


def entries_of(path: Path, findings: Findings, read: Callable[[bytes], object]) -> Iterator[Json]:
    """The lines of an export; `read` is given each as it is. Raises `Wrong` for one that cannot be read."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            read(line)
            entry = _read(line.removesuffix(b"\n"), f"line {number}")
            if canonical(entry) + b"\n" != line:
                findings.add(f"line {number} is not written canonically")
            yield entry


def check_entries(
    path: Path, seals: list[Seal], first: int, last: int, replay: Replay, findings: Findings
) -> str:
    """Compare the entries with the seals that cover `first` to `last`, and replay them; returns the file's SHA-256."""
    covering = [seal for seal in seals if seal.first >= first and seal.last <= last]
    if not covering or covering[0].first != first or covering[-1].last != last:
        raise Wrong(f"the seals do not cover the entries {first} to {last} exactly")
    whole = hashlib.sha256()
    entries = entries_of(path, findings, whole.update)
    expected = first
    for seal in covering:
        leaves: list[bytes] = []
        for entry in entries:
            if entry["sequence"] != expected:
                findings.add(
                    f"entry {expected} is missing or out of order: there is {entry['sequence']} in its place"
                )
            expected = entry["sequence"] + 1
            leaves.append(leaf_of(entry))
            replay.take(entry)
            if len(leaves) == seal.last - seal.first + 1:
                break
        if len(leaves) != seal.last - seal.first + 1:
            raise Wrong(f"the journal is cut off: seal {seal.number} has entries up to {seal.last}")
        if tree_root(leaves).hex() != seal.root:
            findings.add(f"the entries {seal.first} to {seal.last} are not those of seal {seal.number}")
    if next(entries, None) is not None:
        findings.add(f"there are entries beyond {last}")
    return whole.hexdigest()


def verify_journal(folder: Path, trusted: Json, head: Head, wanted: tuple[int, int] | None) -> Findings:
    """Everything about an export. A finding that makes the rest meaningless ends it."""
    findings = Findings()
    try:
        manifest = _read((folder / "manifest.json").read_bytes(), "the manifest")
        _require_form(manifest, MANIFEST, "the manifest")
        ledger = str(manifest["ledger"])
        seals = [read_seal(shown) for shown in manifest["seals"]]
        check_chain(seals, Keys(trusted, manifest["keys"], ledger), ledger, head)
        first, last = _whole(manifest["first"]), _whole(manifest["last"])
        noted = next(seal.last for seal in seals if seal.number == head.number)
        needed = wanted or (1, noted)
        if first > needed[0] or last < needed[1]:
            raise Wrong(
                f"the export has the entries {first} to {last}, not all of {needed[0]} to {needed[1]}"
            )
        replay = Replay(findings, ledger, whole=first == 1)
        with decimal.localcontext(EXACT):
            digest = check_entries(folder / "journal.jsonl", seals, first, last, replay, findings)
            replay.close()
        for name, found in (("entries", last - first + 1), ("sha256", digest)):
            if manifest[name] != found:
                findings.add(f"the manifest says {manifest[name]} as its {name}, and it is {found}")
        if not findings.found:
            _say(
                f"sound: entries {first} to {last} of {ledger}, {len(seals)} seals, {len(replay.accounts)} accounts recomputed"
            )
            if last > noted:
                _say(
                    f"the entries from {max(first, noted + 1)} on are beyond your head: the keys alone vouch for them"
                )
    except Wrong as wrong:
        findings.add(str(wrong))
    except UNREADABLE as unreadable:
        findings.add(f"something is not written as it must be: {unreadable!r}")
    return findings


def _check_shown(digests: list[str], shown: Json) -> None:
    """Raises `Wrong` unless each posting shown, by its leg, is the one whose digest was sealed."""
    for leg, posting in shown.items():
        if leg not in (str(number) for number in range(1, len(digests) + 1)):
            raise Wrong(f"the entry has no posting {leg}")
        if sha256(b"\x03", canonical(posting)).hex() != digests[int(leg) - 1]:
            raise Wrong(f"posting {leg} is not the one that was sealed")


def verify_proof(proof: Json, trusted: Json, head: Head | None) -> Findings:
    """That the entry shown is under the seal shown, and the seal is signed. A head must be this very seal."""
    findings = Findings()
    try:
        _require_form(proof, PROOF, "the proof")
        header, seal = proof["header"], read_seal(proof["seal"])
        Keys(trusted, proof["keys"], seal.ledger).check(seal)
        _check_shown(header["postings"], proof["postings"])
        index, size = _whole(proof["index"]), _whole(proof["size"])
        if header["ledger"] != seal.ledger or header["sequence"] != seal.first + index:
            raise Wrong("the entry is not where the proof says")
        if size != seal.last - seal.first + 1:
            raise Wrong("the seal has another number of entries than the proof says")
        path = [bytes.fromhex(each) for each in proof["path"]]
        leaf = sha256(b"\x00", canonical(header))
        if root_by_path(leaf, index, size, path).hex() != seal.root:
            raise Wrong("the entry is not under the seal's root")
        if head and head.number != seal.number:
            raise Wrong(
                f"the proof is under seal {seal.number}, of which a head of seal {head.number} says nothing"
            )
        if head and head.hash != seal.hash:
            raise Wrong(f"seal {seal.number} is not the expected head")
        _say(
            f"sound: entry {header['id']} is number {header['sequence']} of {seal.ledger}, under seal {seal.number}:{seal.hash}"
        )
    except Wrong as wrong:
        findings.add(str(wrong))
    except UNREADABLE as unreadable:
        findings.add(f"something is not written as it must be: {unreadable!r}")
    return findings


def _read(text: bytes, what: str) -> Json:
    try:
        value = json.loads(
            text, parse_float=_no_floats, parse_constant=_no_floats, object_pairs_hook=_named_once
        )
    except (ValueError, RecursionError) as error:
        raise Wrong(f"{what} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise Wrong(f"{what} is not an object")
    return value


def _require_form(shown: Json, names: tuple[str, ...], what: str) -> None:
    """Raises `Wrong`, naming it, for what is left out of a file, and for a form that came after this one."""
    _require(shown, ("v", *names), what)
    if shown["v"] != FORM:
        raise Wrong(f"{what} is of form {shown['v']}, and this reads form {FORM}")


def _require(shown: Json, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if name not in shown:
            raise Wrong(f"{what} has no {name}")


def _no_floats(text: str) -> Any:
    raise ValueError(f"a number with a fraction: {text}")


def _named_once(members: list[tuple[str, Any]]) -> Json:
    """One reader takes the first of two members of a name and another the last: what they are shown differs."""
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member is named twice")
    return value


def _say(text: str) -> None:
    """A line for people. The files are not trusted, so nothing of them moves a cursor, ends a line or turns it around."""
    print("".join(each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in text))


def _base64(text: object, what: str) -> bytes:
    try:
        return b64decode(str(text), validate=True)
    except NotBase64:
        raise Wrong(f"{what} is not base64") from None


def _verifies(key: Ed25519PublicKey, signature: object, text: bytes) -> bool:
    try:
        key.verify(_base64(signature, "a signature"), text)
    except InvalidSignature:
        return False
    return True


def _head(text: str) -> Head:
    number, _, hash = text.partition(":")
    return Head(int(number), bytes.fromhex(hash).hex())


def _range(text: str) -> tuple[int, int]:
    first, last = map(int, text.split(":"))
    if not 1 <= first <= last:
        raise ValueError("no range")
    return first, last


def main(arguments: list[str] | None = None) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(required=True, dest="what")
    journal = what.add_parser("journal")
    journal.add_argument("folder", type=Path)
    journal.add_argument("--head", type=_head, required=True, metavar="NUMBER:HASH")
    journal.add_argument("--range", type=_range, metavar="FIRST:LAST")
    proof = what.add_parser("proof")
    proof.add_argument("file", type=Path)
    proof.add_argument("--head", type=_head, metavar="NUMBER:HASH")
    for command in (journal, proof):
        command.add_argument("--trust", type=Path, required=True, metavar="KEYS.json")
    wanted = parser.parse_args(arguments)
    try:
        trusted = _read(wanted.trust.read_bytes(), "the file of trusted keys")
        if wanted.what == "journal":
            findings = verify_journal(wanted.folder, trusted, wanted.head, wanted.range)
        else:
            findings = verify_proof(_read(wanted.file.read_bytes(), "the proof"), trusted, wanted.head)
    except (OSError, Wrong) as error:
        print(error, file=sys.stderr)
        return 2
    for each in findings.found:
        _say(each)
    return 1 if findings.found else 0


if __name__ == "__main__":
    sys.exit(main())
