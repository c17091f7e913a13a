"""Internal tokens: EdDSA JWTs of at most a minute that say who is asking, signed here and nowhere else.

The signing keys are a file, a JWK set (RFC 7517) with private members. A rotation adds a key and is noticed
while running: the new key is shown at once and signs only when every verifier must have fetched it, and the old
one is shown until no token of it can live.

What betting's staff is given carries a badge besides, which betting's database verifies (docs/adr/0096).
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Final
from uuid import uuid4

import jwt
from common import signing
from common.badges import make_badge
from common.watched import LOOK_EVERY_SECONDS, WatchedFile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from identity.domain.people import STAFF_ROLES
from identity.sessions import Session

ISSUER: Final = "identity"
TYPE: Final = "at+jwt"
ALGORITHM: Final = "EdDSA"
LONGEST_LIFETIME: Final = timedelta(seconds=60)
SHOWN_BEFORE_USE: Final = timedelta(minutes=10)
"""Verifiers fetch the keys at least every five minutes."""


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
        return _text(self.key.public_bytes_raw())


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with its name and the moment it was made."""

    key_id: str
    key: Ed25519PrivateKey
    made_at: datetime


class Keyring(Mapping[str, Ed25519PublicKey]):
    """The signing keys of a file, read again when it changes; as a mapping, what verifies by key id."""

    def __init__(self, path: Path, *, look_every_seconds: float = LOOK_EVERY_SECONDS) -> None:
        """Raises OSError, or ValueError when the file holds no usable key."""
        self._file = WatchedFile(path, _read, look_every_seconds=look_every_seconds)

    def signing_key(self, now: datetime) -> SigningKey:
        """The newest key that has been shown for long enough; the oldest if none has."""
        keys = self._file.current
        shown = [key for key in keys.values() if now - key.made_at >= SHOWN_BEFORE_USE]
        return shown[-1] if shown else next(iter(keys.values()))

    def shown(self) -> tuple[PublicKey, ...]:
        """Every key that verifies, oldest first."""
        return tuple(PublicKey(key.key_id, key.key.public_key()) for key in self._file.current.values())

    def __getitem__(self, key_id: str) -> Ed25519PublicKey:
        return self._file.current[key_id].key.public_key()

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.current)

    def __len__(self) -> int:
        return len(self._file.current)


class TokenSigner:
    """Signs with the keyring's present key."""

    def __init__(
        self, keyring: Keyring, badge_key: WatchedFile[signing.SigningKey], *, lifetime: timedelta
    ) -> None:
        """`lifetime` is at most 60 s, since nothing revokes a token. Raises ValueError beyond."""
        if not timedelta(0) < lifetime <= LONGEST_LIFETIME:
            raise ValueError(f"a token lives at most {LONGEST_LIFETIME.seconds} s")
        self._keyring = keyring
        self._badge_key = badge_key
        self.lifetime = lifetime

    def sign(self, session: Session, audience: Audience, *, now: datetime) -> str:
        """A token for one audience that names the session's user and role, and what it stands on, and does not outlive it."""
        issued_at = int(now.timestamp())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": audience.value,
            "sub": str(session.user),
            "role": session.role.value,
            "sid": str(session.sid),
            "auth_time": int(session.proved.timestamp()),
            "proof": session.proof,
            "jti": str(uuid4()),
            "iat": issued_at,
            "exp": min(now + self.lifetime, session.ends),
        }
        if audience is Audience.BETTING and session.role in STAFF_ROLES:
            key = self._badge_key.current
            badge = make_badge(key.secret, key.id, str(session.user), session.role, issued_at)
            claims["badge"] = {"kid": badge.key_id, "mac": urlsafe_b64encode(badge.mac).decode()}
        signing_key = self._keyring.signing_key(now)
        headers = {"typ": TYPE, "kid": signing_key.key_id}
        return jwt.encode(claims, signing_key.key, ALGORITHM, headers=headers)


def create_keys(path: Path, *, now: datetime) -> None:
    """Write a new file with one key, for its owner's eyes. Raises FileExistsError rather than replace one."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(_written((_new_key(now),)), encoding="ascii")


def rotate_keys(path: Path, *, now: datetime) -> str:
    """Add a key and drop those whose tokens have all expired; gives the new key's id.

    The file is replaced whole. Raises OSError, ValueError.
    """
    keys, new = tuple(_read(path.read_text(encoding="ascii")).values()), _new_key(now)
    # Retired is a key whose successor has been signing for longer than a token lives.
    retired_before = now - SHOWN_BEFORE_USE - LONGEST_LIFETIME
    kept = [
        key
        for key, successor in zip(keys, (*keys[1:], new), strict=True)
        if successor.made_at > retired_before
    ]
    half = path.with_name(f".{path.name}.half")
    half.unlink(missing_ok=True)
    half.touch(mode=0o600)
    half.write_text(_written((*kept, new)), encoding="ascii")
    half.replace(path)
    return new.key_id


def badge_key(path: Path) -> WatchedFile[signing.SigningKey]:
    """The key of badges. Raises OSError, or ValueError when the file holds none."""
    return WatchedFile(path, signing.SigningKey.parse)


def create_badge_key(path: Path, *, now: datetime) -> None:
    """Write a new one, for its owner's eyes. Raises FileExistsError rather than replace one."""
    path.touch(mode=0o600, exist_ok=False)
    key = signing.SigningKey(f"{now:%Y%m%dT%H%M%SZ}-{token_hex(4)}", token_bytes(32))
    path.write_text(f"{key.written()}\n", encoding="ascii")


class _Jwk(BaseModel):
    """A private Ed25519 key as RFC 8037 writes it; `iat` is when it was made."""

    model_config = ConfigDict(hide_input_in_errors=True)

    kid: str
    d: SecretStr
    iat: int


class _JwkSet(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    keys: list[_Jwk]


def _read(text: str) -> Mapping[str, SigningKey]:
    """A file's keys by id, oldest first. Raises ValueError, which does not quote them."""
    try:
        told = _JwkSet.model_validate_json(text)
    except ValidationError:
        raise ValueError("this is not a set of signing keys") from None
    keys = sorted((_key(each) for each in told.keys), key=lambda key: key.made_at)
    if not keys:
        raise ValueError("this set holds no key")
    return {key.key_id: key for key in keys}


def _key(jwk: _Jwk) -> SigningKey:
    raw = jwk.d.get_secret_value()
    key = Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
    return SigningKey(jwk.kid, key, datetime.fromtimestamp(jwk.iat, UTC))


def _new_key(now: datetime) -> SigningKey:
    return SigningKey(f"{now:%Y%m%dT%H%M%SZ}-{token_hex(4)}", Ed25519PrivateKey.generate(), now)


def _written(keys: tuple[SigningKey, ...]) -> str:
    return json.dumps({"keys": [_jwk(key) for key in keys]}, indent=1) + "\n"


def _jwk(key: SigningKey) -> Mapping[str, str | int]:
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "kid": key.key_id,
        "x": _text(key.key.public_key().public_bytes_raw()),
        "d": _text(key.key.private_bytes_raw()),
        "iat": int(key.made_at.timestamp()),
    }


def _text(raw: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
