"""The keys that seals are signed with: private halves in a file, public halves in the database."""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from pathlib import Path

from common.errors import Conflict, Invalid, Unavailable
from common.pg import Connection, Pool, transaction
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.domain.seals import Endorsement
from ledger.store import seals as store


class NoSealYet(Conflict):
    slug, title = "no-seal-yet", "Nothing is sealed yet"


class SealingKeys:
    """The private halves this process was given, by id; the last one is for a ledger that has no key yet."""

    def __init__(self, keys: dict[str, Ed25519PrivateKey]) -> None:
        self._keys = keys

    @classmethod
    def parse(cls, text: str) -> SealingKeys:
        """From a JSON object {id: base64 of an Ed25519 seed}. Raises `ValueError`."""
        seeds = json.loads(text)
        if not isinstance(seeds, dict) or not all(isinstance(seed, str) for seed in seeds.values()):
            raise ValueError("expected a JSON object of seeds by id")
        return cls({id: Ed25519PrivateKey.from_private_bytes(b64decode(seed)) for id, seed in seeds.items()})

    @classmethod
    def load(cls, path: Path) -> SealingKeys:
        """From such a file. Raises `ValueError`, `OSError`."""
        return cls.parse(path.read_text(encoding="utf-8"))

    def public_key(self, id: str) -> bytes:
        """Raises `Invalid` for a key this process was not given."""
        return self._of(id).public_key().public_bytes_raw()

    def sign(self, id: str, text: bytes) -> bytes:
        """Raises `Invalid` for a key this process was not given."""
        return self._of(id).sign(text)

    async def current(self, connection: Connection, ledger: int) -> str:
        """The key of the day; the first one is entered when it is first needed.

        Raises `Unavailable` when this process does not have it.
        """
        known = await store.seal_keys(connection, ledger)
        if known:
            id = known[-1].id
            if id not in self._keys or self.public_key(id) != known[-1].public_key:
                raise Unavailable(f"the sealing key {id} is not among those given to this process")
            return id
        if not self._keys:
            raise Unavailable("no sealing key was given to this process")
        id = next(reversed(self._keys))
        await store.add_first_key(connection, ledger, id, self.public_key(id))
        return id

    def _of(self, id: str) -> Ed25519PrivateKey:
        if id not in self._keys:
            raise Invalid(f"no sealing key {id} in the file", field="key")
        return self._keys[id]


def make_key(path: Path, id: str) -> bytes:
    """Add a new key to the file, which is made if need be (0600); returns its public half.

    Raises `Invalid` when the file has a key of that id.
    """
    seeds: dict[str, str] = json.loads(path.read_bytes()) if path.exists() else {}
    if id in seeds:
        raise Invalid(f"the file has a key {id}", field="id")
    seed = secrets.token_bytes(32)
    half = path.with_name(f".{path.name}.half")
    half.touch(mode=0o600)
    half.write_text(json.dumps({**seeds, id: b64encode(seed).decode()}), encoding="utf-8")
    half.replace(path)
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


async def rotate_key(pool: Pool, keys: SealingKeys, ledger: int, name: str, to: str) -> Endorsement:
    """Let the key of the day endorse another one, which signs from the next seal on.

    Raises:
        Invalid: the file does not have both.
        NoSealYet: the first key needs no endorsement; it is entered with the first seal.
    """
    async with transaction(pool) as connection:
        newest, known = await store.last_seal(connection, ledger), await store.seal_keys(connection, ledger)
        if newest is None or not known:
            raise NoSealYet("make a seal first")
        endorsement = Endorsement(name, to, keys.public_key(to), known[-1].id, newest.number + 1)
        await store.add_key(
            connection, ledger, endorsement, keys.sign(known[-1].id, endorsement.signing_bytes())
        )
    return endorsement
