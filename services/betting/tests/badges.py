"""Badges as identity makes them: with the key of the stack the tests run on, which every copy of betting's database has."""

import time
from base64 import urlsafe_b64encode
from functools import cache
from uuid import UUID

from common.badges import Badge, make_badge
from common.roles import Role
from common.signing import SigningKey
from common.testing import stack

STAFF = frozenset({Role.OFFICIAL, Role.CASHIER, Role.AUDITOR, Role.ADMIN})


@cache
def badge_key() -> SigningKey:
    return SigningKey.parse((stack().secrets_dir / "identity-badge-key").read_text(encoding="ascii"))


def badge_of(
    user: UUID,
    role: Role = Role.OFFICIAL,
    *,
    age_seconds: int = 0,
    key: SigningKey | None = None,
    issued_at: int | None = None,
) -> Badge:
    """A genuine badge, made so long ago; `key` is another than the stack's."""
    key = key or badge_key()
    moment = int(time.time()) - age_seconds if issued_at is None else issued_at
    return make_badge(key.secret, key.id, str(user), role, moment)


def claim_of(user: UUID, role: Role, issued_at: int) -> dict[str, dict[str, str]]:
    """What a token says of it."""
    if role not in STAFF:
        return {}
    badge = badge_of(user, role, issued_at=issued_at)
    return {"badge": {"kid": badge.key_id, "mac": urlsafe_b64encode(badge.mac).decode()}}


def shows(user: UUID | str, badge: Badge | None = None) -> str:
    """The statement with which somebody shows a badge, their own unless told."""
    badge = badge or badge_of(UUID(str(user)))
    return (
        "INSERT INTO badge (user_id, role, issued_at, key_id, mac) "
        f"VALUES ('{user}', '{badge.role}', to_timestamp({badge.issued_at}), '{badge.key_id}', '\\x{badge.mac.hex()}');"
    )
