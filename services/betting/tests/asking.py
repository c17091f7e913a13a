"""Asking as people do: under keys of their own, again while the answer is "not now", at a time that tests may move."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TypeVar
from uuid import UUID, uuid4

from betting.domain.ids import UserId
from betting.service.calls import Call
from common.errors import NotReady, Unavailable
from common.idempotency import Answer
from common.roles import Role
from pydantic import BaseModel

from services.betting.tests.badges import badge_of

Thing = TypeVar("Thing")
JUDGES = (UserId(uuid4()), UserId(uuid4()))
_keys = count(1)


async def insist(ask: Callable[[], Awaitable[Thing]]) -> Thing:
    """Ask as a good client does: again, with the same key, while the answer is "not now"."""
    for _ in range(300):
        try:
            return await ask()
        except (NotReady, Unavailable):
            await asyncio.sleep(0.1)
    raise AssertionError("no definite answer")


def call(
    user: UUID, key: str | None = None, fingerprint: bytes | None = None, *, role: Role = Role.OFFICIAL
) -> Call:
    """A call under a key of its own unless told. Whoever acts as staff has the badge of that role."""
    return Call(UserId(user), key or f"key-{next(_keys)}", fingerprint or bytes(32), badge_of(user, role))


@dataclass
class Clock:
    """The time, which tests may move on."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def keep(found: list[Thing], thing: Thing, view: Callable[[Thing], BaseModel]) -> Answer:
    """Remember the thing itself beside the answer that shows it."""
    found.append(thing)
    return Answer.of(view(thing))
