"""What consumers count. Scraped at /metrics with everything else of the process."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

HANDLED: Final = Counter(
    "amqp_messages_handled", "Messages by how they ended: done, retried, dead or left.", ("queue", "outcome")
)
IN_HAND: Final = Gauge(
    "amqp_messages_in_hand", "Messages received and neither acknowledged nor given back.", ("queue",)
)
HANDLING_SECONDS: Final = Histogram(
    "amqp_handling_seconds",
    "How long the handler took.",
    ("queue",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
WAITING: Final = Gauge("amqp_messages_waiting", "Messages in the queue that nobody has in hand.", ("queue",))
DEAD_LETTERS: Final = Gauge(
    "amqp_dead_letters",
    "Messages of this queue that were given up, by the consumer or by the broker.",
    ("queue",),
)
CONSUMING: Final = Gauge("amqp_consuming", "1 while the broker delivers to this process.", ("queue",))
SESSIONS: Final = Counter(
    "amqp_consumer_sessions", "Times consuming began, the first one included.", ("queue",)
)
HELD: Final = Counter(
    "amqp_messages_held",
    "Times that a message was held because neither retry nor dead-letter queue took it.",
    ("queue",),
)
