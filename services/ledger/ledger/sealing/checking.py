"""Reading the whole sealed journal again and comparing it with its seals, inside the house.

For those outside there is `tools/verify_journal.py`, which trusts nothing of this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from common.pg import Pool, transaction
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.domain.seals import NOTHING_BEFORE, Statement, merkle_root, seal_hash
from ledger.store import seals as store


@dataclass(frozen=True, slots=True)
class Finding:
    """What one seal was found to be; `wrong` is empty when it holds."""

    seal: store.SealRow
    wrong: str


async def check_seals(pool: Pool, ledger: int, name: str) -> AsyncIterator[Finding]:
    """Check every seal of the ledger of that name, oldest first, with the database's own public keys.

    What is believed is what was signed: whoever changed entries behind the rules can have changed a seal's columns, too.
    """
    async with transaction(pool, readonly=True) as connection:
        keys = {
            key.id: Ed25519PublicKey.from_public_bytes(key.public_key)
            for key in await store.seal_keys(connection, ledger)
        }
    number, last, before = 0, 0, NOTHING_BEFORE
    while True:
        async with transaction(pool, isolation="repeatable_read", readonly=True) as connection:
            following = await store.seals(connection, ledger, number, 1)
            if not following:
                return
            (seal,) = following
            entries = await store.journal(connection, ledger, seal.first, seal.last)
        if (seal.number, seal.first) != (number + 1, last + 1):
            wrong = "seals before it are missing"
        elif _statement(seal, name, before).signing_bytes() != seal.statement:
            wrong = "it is not what was signed"
        elif len(entries) != seal.last - seal.first + 1:
            wrong = "entries are missing"
        elif merkle_root([entry.leaf() for entry in entries]) != seal.root:
            wrong = "the entries are not those that were sealed"
        else:
            wrong = _signature(seal, keys)
        yield Finding(seal, wrong)
        number, last, before = seal.number, seal.last, seal.hash


def _statement(seal: store.SealRow, ledger: str, before: bytes) -> Statement:
    """What its columns say, and which one is before it."""
    return Statement(
        ledger, seal.number, seal.first, seal.last, seal.root, before, seal.key_id, seal.sealed_at
    )


def _signature(seal: store.SealRow, keys: dict[str, Ed25519PublicKey]) -> str:
    if seal_hash(seal.statement) != seal.hash:
        return "its hash is another one"
    try:
        keys[seal.key_id].verify(seal.signature, seal.statement)
    except InvalidSignature:
        return "its signature does not verify"
    return ""
