"""Seals: how entries are written down to be hashed, the Merkle tree over a run of them, and what is signed.

The tree is RFC 6962's: a leaf is SHA-256 of 0x00 and its data, a node of 0x01 and its two children. A leaf's
data is the entry's header, which holds only the digests (0x03) of its postings; so one who may see a single
posting can still be shown that the entry is sealed. What is signed is hashed with 0x02 for the next seal.

Everything is canonical JSON: keys sorted, no white space, ASCII, and what is absent is left out. That last
rule lets the journal learn new, optional columns without changing what was sealed before.
`tools/verify_journal.py` says all of this a second time, on purpose: it must not trust this file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import NamedTuple, TypeAlias

Json: TypeAlias = "str | int | bool | Mapping[str, Json] | Sequence[Json]"

VERSION = 1
NOTHING_BEFORE = bytes(32)
"""What the first seal names as the one before it."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


_quoted = encode_basestring_ascii
"""A string as `canonical` writes it."""


class SealedPosting(NamedTuple):
    """A posting as it is sealed. Amounts are signed, debit positive, with exactly the currency's decimals;
    `side` is 1 where the account normally grows by debits, else -1; `floored`: it may not fall below zero."""

    account: str
    account_class: str
    currency: str
    side: int
    floored: bool
    amount: str
    balance: str
    account_sequence: int
    hold: str | None

    def written(self) -> dict[str, Json]:
        return _present(
            account=self.account,
            account_sequence=self.account_sequence,
            amount=self.amount,
            balance=self.balance,
            currency=self.currency,
            floored=self.floored,
            hold=self.hold,
            side=self.side,
            **{"class": self.account_class},
        )

    def digest(self) -> str:
        """In hexadecimal: SHA-256 of a byte 3 and what `canonical` makes of `written`, put together here at a fifth of
        its price. A journal of a million entries has two million of them to be hashed."""
        hold = "" if self.hold is None else f'"hold":{_quoted(self.hold)},'
        return hashlib.sha256(
            f'\x03{{"account":{_quoted(self.account)},"account_sequence":{self.account_sequence},'
            f'"amount":{_quoted(self.amount)},"balance":{_quoted(self.balance)},"class":{_quoted(self.account_class)},'
            f'"currency":{_quoted(self.currency)},"floored":{"true" if self.floored else "false"},{hold}'
            f'"side":{self.side}}}'.encode("ascii")
        ).hexdigest()


class SealedEntry(NamedTuple):
    """An entry as it is sealed: `header` is every column that is, by name, without those that are empty."""

    sequence: int
    header: Mapping[str, Json]
    postings: tuple[SealedPosting, ...]

    def written(self) -> dict[str, Json]:
        """The whole, as an export has it on one line."""
        return {**self.header, "postings": [posting.written() for posting in self.postings]}

    def hashed(self) -> dict[str, Json]:
        """What the leaf is made of: postings by their digests."""
        return {**self.header, "postings": [posting.digest() for posting in self.postings]}

    def leaf(self) -> bytes:
        return hashlib.sha256(b"\x00" + canonical(self.hashed())).digest()


@dataclass(frozen=True, slots=True)
class Statement:
    """What a seal says. `previous` is the hash of the seal before it."""

    ledger: str
    number: int
    first: int
    last: int
    root: bytes
    previous: bytes
    key: str
    sealed_at: datetime

    def signing_bytes(self) -> bytes:
        return canonical(
            {
                "v": VERSION,
                "type": "seal",
                "ledger": self.ledger,
                "number": self.number,
                "first": self.first,
                "last": self.last,
                "entries": self.last - self.first + 1,
                "root": self.root.hex(),
                "previous": self.previous.hex(),
                "key": self.key,
                "sealed_at": moment(self.sealed_at),
            }
        )


@dataclass(frozen=True, slots=True)
class Endorsement:
    """What an older key says of its successor: it signs from seal `from_seal` on, and the older one no more."""

    ledger: str
    key: str
    public_key: bytes
    endorsed_by: str
    from_seal: int

    def signing_bytes(self) -> bytes:
        return canonical(
            {
                "v": VERSION,
                "type": "seal-key",
                "ledger": self.ledger,
                "key": self.key,
                "public_key": self.public_key.hex(),
                "endorsed_by": self.endorsed_by,
                "from_seal": self.from_seal,
            }
        )


def canonical(value: Json) -> bytes:
    """The one way to write it down."""
    return _encode(value).encode()


@lru_cache(maxsize=64)
def moment(at: datetime) -> str:
    """UTC, to the microsecond. Entries of one batch share theirs."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seal_hash(statement: bytes) -> bytes:
    """The name of a seal: what the next one refers to and what is noted down outside."""
    return hashlib.sha256(b"\x02" + statement).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over at least one leaf (RFC 6962 §2.1)."""
    level = list(leaves)
    while len(level) > 1:
        paired = [_node(level[n], level[n + 1]) for n in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The siblings from that leaf up to the root (RFC 6962 §2.1.1)."""
    path: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        paired = [_node(level[n], level[n + 1]) for n in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
        index //= 2
    return tuple(path)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _present(**values: Json | None) -> dict[str, Json]:
    return {name: value for name, value in values.items() if value is not None}
