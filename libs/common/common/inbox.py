"""The inbox: a consumer's memory of the events it has handled.

Every service that consumes events has this table:

    CREATE TABLE inbox (
        consumer text NOT NULL,
        event_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, event_id)
    );
"""

from uuid import UUID

from common.pg import Connection


async def first_sight(conn: Connection, consumer: str, event_id: UUID) -> bool:
    """Whether this consumer has not handled the event yet; remembers it from now on.

    Call it inside the transaction of the event's effect: both commit or neither. A second delivery
    at the same moment waits here until the first one's transaction ends.
    """
    status = await conn.execute(
        "INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", consumer, event_id
    )
    return status == "INSERT 0 1"
