"""What the relay counts."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

PUBLISHED: Final = Counter("relay_published", "Rows the broker confirmed.")
REFUSED: Final = Counter("relay_refused", "Rows the broker refused; they stay.", ("reason",))
UNCONFIRMED: Final = Counter(
    "relay_unconfirmed", "Rows without an answer in time; they are sent again and may arrive twice."
)
SENT_AGAIN: Final = Counter(
    "relay_sent_again",
    "Rows delivered that had been sent before, by a relay that did not live to delete them or that heard no "
    "answer: at most that many duplicates.",
)
CONFIRM_SECONDS: Final = Histogram(
    "relay_confirm_seconds",
    "From sending a batch to its last confirmation.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
BACKLOG_ROWS: Final = Gauge("relay_backlog_rows", "Rows that wait.", ("shard",))
BACKLOG_SECONDS: Final = Gauge("relay_backlog_seconds", "How long the oldest row has waited.", ("shard",))
STUCK_SHARDS: Final = Gauge("relay_stuck_shards", "Shards with a row that the broker refuses.")
FAILURES: Final = Counter("relay_failures", "Batches given up, by what did not answer.", ("what",))
FENCED: Final = Counter(
    "relay_fenced",
    "Transactions of another relay that this one ended, because it held shards and did not move.",
)
FORGOTTEN: Final = Counter("relay_forgotten", "Old rows deleted because their time was over.", ("table",))
