"""Reading the whole sealed journal again and comparing it with its seals, inside the house.

For those outside there is `tools/verify_journal.py`, which trusts nothing of this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from common.pg import Pool, transaction
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.domain.seals import merkle_root, seal_hash
from ledger.store import seals as store


@dataclass(frozen=True, slots=True)
class Finding:
    """What one seal was found to be; `wrong` is empty when it holds."""

    seal: store.SealRow
    wrong: str


async def check_seals(pool: Pool, ledger: int) -> AsyncIterator[Finding]:
    """Check every seal, oldest first, with the database's own public keys."""
    async with transaction(pool, readonly=True) as connection:
        keys = {
            key.id: Ed25519PublicKey.from_public_bytes(key.public_key)
            for key in await store.seal_keys(connection, ledger)
        }
    number = 0
    while True:
        async with transaction(pool, isolation="repeatable_read", readonly=True) as connection:
            seal = await store.seal(connection, ledger, number + 1)
            if seal is None:
                return
            entries = await store.journal(connection, ledger, seal.first, seal.last)
        number = seal.number
        wrong = _signature(seal, keys)
        if len(entries) != seal.last - seal.first + 1:
            wrong = "entries are missing"
        elif merkle_root([entry.leaf() for entry in entries]) != seal.root:
            wrong = "the entries are not those that were sealed"
        yield Finding(seal, wrong)


def _signature(seal: store.SealRow, keys: dict[str, Ed25519PublicKey]) -> str:
    if seal_hash(seal.statement) != seal.hash:
        return "its hash is another one"
    try:
        keys[seal.key_id].verify(seal.signature, seal.statement)
    except InvalidSignature:
        return "its signature does not verify"
    return ""
