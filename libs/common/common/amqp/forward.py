"""What a message looks like on its way to a retry queue or to the dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID, uuid4

from aio_pika.abc import AbstractIncomingMessage

from common.amqp.delivery import Retry, Verdict
from common.amqp.names import DEAD_EXCHANGE, RETRY_EXCHANGE, dead_queue, retry_queue
from common.amqp.publisher import Message

ATTEMPT_HEADER: Final = "x-attempt"
"""Ours, because the broker's own count starts again with every publish."""
REASON_HEADER: Final = "x-reason"
QUEUE_HEADER: Final = "x-queue"

REASON_LIMIT: Final = 500
"""Characters of a reason that travel in a header; the log has all of it."""


def attempt_of(message: AbstractIncomingMessage) -> int:
    """Which attempt this delivery is, from 1."""
    attempt = message.headers.get(ATTEMPT_HEADER)
    return attempt if isinstance(attempt, int) and attempt >= 1 else 1


def forwarded(
    queue: str, message: AbstractIncomingMessage, verdict: Verdict, *, attempt: int | None = None
) -> Message:
    """The same message with its attempt and reason, addressed by the verdict. `attempt` is the one that the
    next delivery counts as, unless this is the end; by default it goes on counting."""
    so_far = attempt_of(message)
    headers = {**_own(message.headers), REASON_HEADER: verdict.reason[:REASON_LIMIT], QUEUE_HEADER: queue}
    if isinstance(verdict, Retry):
        return Message(
            _id(message),
            RETRY_EXCHANGE,
            retry_queue(queue, verdict.delay_seconds),
            message.body,
            {**headers, ATTEMPT_HEADER: attempt or so_far + 1},
        )
    return Message(
        _id(message), DEAD_EXCHANGE, dead_queue(queue), message.body, {**headers, ATTEMPT_HEADER: so_far}
    )


def _own(headers: Mapping[str, object]) -> dict[str, str | int]:
    """The headers that publishers set; the broker's (x-death and such) describe the journey so far."""
    return {
        name: value
        for name, value in headers.items()
        if not name.startswith("x-") and isinstance(value, str | int)
    }


def _id(message: AbstractIncomingMessage) -> UUID:
    try:
        return UUID(message.message_id)
    except (TypeError, ValueError):  # from a publisher that is not ours
        return uuid4()
