"""How a key and its signing secret are made."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import b64decode
from pathlib import Path
from uuid import UUID

from common.errors import Unavailable
from common.signing import SHORTEST_SECRET_BYTES, SigningKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "lk_live_"
HINT_LENGTH = len(PREFIX) + 4


def new_key() -> str:
    """A key with 256 random bits. It is shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> bytes:
    """What is stored of it. No salt: 256 random bits are in no table."""
    return hashlib.sha256(key.encode()).digest()


class SigningRoots:
    """The root secrets that signing secrets are derived from (HKDF-SHA256, RFC 5869), by name.

    Rotated by adding one: new keys take the last, older keys keep theirs until they are rotated, too.
    """

    def __init__(self, roots: dict[str, bytes]) -> None:
        """Raises `ValueError` for a root that is too short."""
        if any(len(root) < SHORTEST_SECRET_BYTES for root in roots.values()):
            raise ValueError(f"a signing root has at least {SHORTEST_SECRET_BYTES} bytes")
        self._roots = roots

    @classmethod
    def load(cls, path: Path | None) -> SigningRoots:
        """From a JSON file {name: base64 of the root}; without one, no key can be asked to sign.

        Raises `ValueError`, `OSError`.
        """
        if path is None:
            return cls({})
        return cls(
            {name: b64decode(root, validate=True) for name, root in json.loads(path.read_bytes()).items()}
        )

    @property
    def newest(self) -> str | None:
        """The name of the root that new keys take."""
        return next(reversed(self._roots), None)

    def key_of(self, key: UUID, root: str) -> SigningKey:
        """The signing key of an API key. Raises `Unavailable` when this process was not given the root."""
        if root not in self._roots:
            raise Unavailable(f"the signing root {root} is not configured here")
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"ledger-api-key:" + key.bytes)
        return SigningKey(str(key), derived.derive(self._roots[root]))
