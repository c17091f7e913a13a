"""How a queue's companions are called. Whoever declares and whoever publishes must agree."""

from __future__ import annotations

from typing import Final

RETRY_EXCHANGE: Final = "retry"
DEAD_EXCHANGE: Final = "dead"

RETRY_DELAYS_SECONDS: Final = (1, 5, 30)
"""How long a message is held back, by attempt; the last delay repeats."""


def retry_queue(queue: str, delay_seconds: int) -> str:
    """The queue that holds a message back and then returns it to `queue`."""
    return f"{queue}.retry.{delay_seconds}s"


def dead_queue(queue: str) -> str:
    """The queue of messages that `queue`'s consumer gave up."""
    return f"{queue}.dead"
