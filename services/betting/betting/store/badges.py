"""Badges: whoever acts as staff shows theirs to the database, in the transaction in which they act."""

from datetime import UTC, datetime

from common.badges import Badge
from common.errors import Unavailable
from common.pg import Connection, translate

from betting.domain.ids import UserId


async def show_badge(conn: Connection, user: UserId, badge: Badge) -> None:
    """From here on this transaction may write what that person does. Raises Unavailable when it waited for too long."""
    too_old = {"badge_is_fresh": lambda: Unavailable("this waited for too long; ask again", retry_after=1)}
    with translate(too_old):
        await conn.execute(
            "INSERT INTO badge (user_id, role, issued_at, key_id, mac) VALUES ($1, $2, $3, $4, $5)",
            user, badge.role, datetime.fromtimestamp(badge.issued_at, UTC), badge.key_id, badge.mac,
        )  # fmt: skip
