"""What every use case needs: the database, the clock, new ids."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from common.pg import Pool

from identity.domain.people import SessionEnded, User, UserId
from identity.store.people import PeopleStore


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Desk:
    """What use cases work with."""

    pool: Pool
    clock: Callable[[], datetime] = now_utc
    new_id: Callable[[], UUID] = uuid4


async def locked(people: PeopleStore, user_id: UserId) -> User:
    """The user a token names, locked. Raises SessionEnded when there is no such user."""
    user = await people.user_for_update(user_id)
    if user is None:
        raise SessionEnded("The session's user does not exist.")
    return user
