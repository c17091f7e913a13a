"""The attestor's key: Ed25519, its raw 32-byte seed in base64 in a file of its own."""

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.receipts import Attestation, Statement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs statements under the key of that id."""

    key_id: str
    key: Ed25519PrivateKey

    def sign(self, statement: Statement) -> Attestation:
        """The statement as an attestation."""
        return statement.signed(self.key.sign)


def load_signer(seed_file: Path, key_id: str) -> Signer:
    """Raises `ValueError` or `OSError` for a file that holds no seed."""
    seed = base64.b64decode(seed_file.read_text(encoding="ascii").strip(), validate=True)
    if len(seed) != SEED_BYTES:
        raise ValueError(f"{seed_file} does not hold {SEED_BYTES} bytes in base64")
    return Signer(key_id, Ed25519PrivateKey.from_private_bytes(seed))


def create_signing_key(seed_file: Path, public_keys_file: Path, key_id: str) -> None:
    """Make a key: the seed for the attestor alone, the public key added to those the ledger trusts.

    Raises `FileExistsError` rather than overwrite a seed.
    """
    key = Ed25519PrivateKey.generate()
    descriptor = os.open(seed_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as seed:
        seed.write(base64.b64encode(key.private_bytes_raw()).decode() + "\n")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    trusted = json.loads(public_keys_file.read_text()) if public_keys_file.exists() else {}
    trusted[key_id] = base64.b64encode(public).decode()
    public_keys_file.write_text(json.dumps(trusted, indent=2, sort_keys=True) + "\n", encoding="ascii")
