"""Badges: what shows betting's database in which role somebody acts. It cannot verify a token's Ed25519; an HMAC it can.

The key is known to identity and to that database's owner alone: betting's process hands badges on, and can make none.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final

from common.roles import Role

PURPOSE: Final = "el-carril badge v1"


@dataclass(frozen=True, slots=True)
class Badge:
    """Identity's word that somebody, who is named beside it, acts in a role. `issued_at` is in Unix seconds."""

    key_id: str
    role: Role
    issued_at: int
    mac: bytes = field(repr=False)


def make_badge(secret: bytes, key_id: str, subject: str, role: Role, issued_at: int) -> Badge:
    """A badge for that person. `badge_is_genuine` in betting's database works out the same."""
    text = "\n".join((PURPOSE, key_id, subject, role.value, str(issued_at)))
    return Badge(key_id, role, issued_at, hmac.digest(secret, text.encode(), "sha256"))
