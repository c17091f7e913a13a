"""The attestor's key: Ed25519, its id and raw 32-byte seed (base64) on one line of a file of its own."""

import base64
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.receipts import Attestation, Statement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED_BYTES: Final = 32
KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs statements under the key of that id."""

    key_id: str
    key: Ed25519PrivateKey

    def sign(self, statement: Statement) -> Attestation:
        """The statement as an attestation."""
        return statement.signed(self.key.sign)


def read_signer(text: str) -> Signer:
    """The signer of a file's text, such as `attestor-2 bm90IGEgcmVhbCBzZWVk…`. Raises `ValueError` for any other."""
    key_id, _, encoded = text.strip().partition(" ")
    seed = base64.b64decode(encoded, validate=True)
    if not KEY_ID.fullmatch(key_id) or len(seed) != SEED_BYTES:
        raise ValueError(f"no key id and {SEED_BYTES} bytes in base64")
    return Signer(key_id, Ed25519PrivateKey.from_private_bytes(seed))


def create_signing_key(seed_file: Path, public_keys_file: Path, key_id: str) -> None:
    """Make a key: the seed for the attestor alone, the public key added to those the ledger trusts.

    Both processes read their files again when they change, so the key counts as soon as its seed lies where the
    attestor looks. Raises `FileExistsError` rather than overwrite a seed, `ValueError` for an id that is none or in use.
    """
    trusted = json.loads(public_keys_file.read_text()) if public_keys_file.exists() else {}
    if not KEY_ID.fullmatch(key_id) or key_id in trusted:
        raise ValueError(f"{key_id!r} is no key id, or one in use")
    key = Ed25519PrivateKey.generate()
    descriptor = os.open(seed_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as seed:
        seed.write(f"{key_id} {base64.b64encode(key.private_bytes_raw()).decode()}\n")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    trusted[key_id] = base64.b64encode(public).decode()
    half = public_keys_file.with_suffix(".half")
    half.write_text(json.dumps(trusted, indent=2, sort_keys=True) + "\n", encoding="ascii")
    half.replace(public_keys_file)
