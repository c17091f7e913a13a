"""The inbox: a consumer's memory of the events it has handled, and of how far it has come with each aggregate.

The tables are in `messages.sql`: every service that consumes events has `inbox`; one that keeps a copy of what
events tell, and so may not let an older event overwrite a newer one, has `inbox_version` as well.
"""

from typing import Final
from uuid import UUID

from prometheus_client import Counter

from common.pg import Connection

DUPLICATES: Final = Counter("inbox_duplicates", "Events that had been handled before.", ("consumer",))
OVERTAKEN: Final = Counter(
    "inbox_overtaken", "Events that came after a newer one of their aggregate.", ("consumer",)
)


async def first_sight(conn: Connection, consumer: str, event_id: UUID) -> bool:
    """Whether this consumer has not handled the event yet; remembers it from now on.

    Call it inside the transaction of the event's effect: both commit or neither. A second delivery
    at the same moment waits here until the first one's transaction ends.
    """
    status = await conn.execute(
        "INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", consumer, event_id
    )
    if status == "INSERT 0 1":
        return True
    DUPLICATES.labels(consumer).inc()
    return False


async def is_newest(conn: Connection, consumer: str, aggregate: str, version: int) -> bool:
    """Whether this consumer has seen no later version of the aggregate; remembers this one if so.

    An event waits in a retry queue while its successors arrive: what it tells is then overtaken. Call it
    inside the transaction of the effect. The row it writes is also the lock that makes two events of
    one aggregate take turns, in whatever process. A version that was seen is not newest again.
    """
    status = await conn.execute(
        """
        INSERT INTO inbox_version AS seen (consumer, aggregate, version) VALUES ($1, $2, $3)
        ON CONFLICT (consumer, aggregate) DO UPDATE SET version = excluded.version WHERE seen.version < excluded.version
        """,
        consumer,
        aggregate,
        version,
    )
    if status == "INSERT 0 1":
        return True
    OVERTAKEN.labels(consumer).inc()
    return False
