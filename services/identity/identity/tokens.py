"""Internal tokens: EdDSA JWTs of at most a minute that say who is asking, signed here and nowhere else."""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from identity.sessions import Session

ISSUER = "identity"
TYPE = "at+jwt"
ALGORITHM = "EdDSA"
LONGEST_LIFETIME = timedelta(seconds=60)


class Audience(StrEnum):
    """The services a token can be made for. A token for one is refused by every other."""

    IDENTITY = "identity"
    BETTING = "betting"
    PAYMENTS = "payments"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What verifies a token that names this key id."""

    key_id: str
    key: Ed25519PublicKey

    @property
    def x(self) -> str:
        """The raw key in base64url, as a JWK has it (RFC 8037)."""
        return urlsafe_b64encode(self.key.public_bytes_raw()).rstrip(b"=").decode()


class TokenSigner:
    """Holds the signing key."""

    def __init__(self, key: Ed25519PrivateKey, key_id: str, *, lifetime: timedelta) -> None:
        """`lifetime` is at most 60 s, since nothing revokes a token. Raises ValueError beyond."""
        if not timedelta(0) < lifetime <= LONGEST_LIFETIME:
            raise ValueError(f"a token lives at most {LONGEST_LIFETIME.seconds} s")
        self._key = key
        self._key_id = key_id
        self.lifetime = lifetime

    def sign(self, session: Session, audience: Audience, *, now: datetime) -> str:
        """A token for one audience that names the session's user and role and does not outlive it."""
        claims = {
            "iss": ISSUER,
            "aud": audience.value,
            "sub": str(session.user),
            "role": session.role.value,
            "sid": str(session.sid),
            "jti": str(uuid4()),
            "iat": now,
            "exp": min(now + self.lifetime, session.ends),
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"typ": TYPE, "kid": self._key_id})

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self._key_id, self._key.public_key())


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read a PEM private key. Raises ValueError when it is not an Ed25519 one."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} does not hold an Ed25519 key")
    return key


def create_signing_key(path: Path) -> None:
    """Write a new private key for its owner's eyes. Raises FileExistsError rather than replace one."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(pem)
