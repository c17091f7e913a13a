"""What every mutation is called with, and how it happens once."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar
from uuid import UUID

from common.badges import Badge
from common.idempotency import Answer, once
from common.pg import Connection, Pool, transaction

from betting.domain.ids import UserId
from betting.store.badges import show_badge

Subject = TypeVar("Subject")
Show: TypeAlias = Callable[[Subject], Answer]
"""Words the answer about a subject. It is stored under the call's key, so it is made inside the use case."""

Clock: TypeAlias = Callable[[], datetime]
NewId: TypeAlias = Callable[[], UUID]


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks, and the key and fingerprint that make it happen once. Staff shows a badge."""

    user_id: UserId
    key: str
    fingerprint: bytes
    badge: Badge | None = None


async def once_in(pool: Pool, call: Call, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
    """Do the work in one transaction, or give the answer stored under the call's key. Raises Unavailable for a badge that
    waited for too long."""
    async with transaction(pool) as conn:
        if call.badge is not None:
            await show_badge(conn, call.user_id, call.badge)
        return await once(
            conn,
            principal=str(call.user_id),
            key=call.key,
            fingerprint=call.fingerprint,
            work=lambda: work(conn),
        )
