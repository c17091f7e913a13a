"""Secrets that are derived, never stored: one master key, and a name for each thing that needs a secret.

The database knows which devices, second factors and codes there are, but none of their secrets, so a copy of
it opens nothing (HKDF-SHA256, RFC 5869).
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from pathlib import Path
from secrets import token_bytes
from typing import Final, Self
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MASTER_BYTES: Final = 32
CODE_DIGITS: Final = 8


class MasterKey:
    """The key that all others come from."""

    def __init__(self, raw: bytes) -> None:
        """Raises ValueError for a key of another length."""
        if len(raw) != MASTER_BYTES:
            raise ValueError(f"a master key has {MASTER_BYTES} bytes")
        self._raw = raw

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read one in base64. Raises OSError, ValueError."""
        try:
            return cls(b64decode(path.read_text(encoding="ascii").strip(), validate=True))
        except NotBase64:
            raise ValueError(f"{path} does not hold a key in base64") from None

    def device_key(self, device: UUID) -> bytes:
        """What a device signs with."""
        return self._derive("device", str(device), 32)

    def totp_secret(self, user: UUID, generation: int) -> bytes:
        """What an authenticator app is told, 160 bits as RFC 4226 recommends."""
        return self._derive("totp", f"{user}:{generation}", 20)

    def code(self, verification: UUID) -> str:
        """The digits that are sent to somebody. Their uneven distribution is below one in 10^11."""
        number = int.from_bytes(self._derive("code", str(verification), 8))
        return f"{number % 10**CODE_DIGITS:0{CODE_DIGITS}d}"

    def _derive(self, purpose: str, name: str, length: int) -> bytes:
        info = f"el-carril/identity/{purpose}/{name}".encode()
        return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(self._raw)


def create_master_key(path: Path) -> None:
    """Write a new one for its owner's eyes. Raises FileExistsError rather than replace one."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(b64encode(token_bytes(MASTER_BYTES)).decode(), encoding="ascii")
