"""The outbox: an event leaves in the transaction that makes it true, and the relay carries it out.

Rows are sharded by aggregate and ordered within a shard by id, so an aggregate's events keep their
order as long as its row is locked (and its version bumped) before `announce` is called.
"""

import json
from typing import Protocol
from uuid import UUID

from common.pg import Connection
from common.telemetry.traces import traceparent

EVENTS_EXCHANGE = "events"


class Envelope(Protocol):
    """What this module needs of a CloudEvent; `contracts` has the real one."""

    @property
    def id(self) -> UUID:
        """The event's id, which consumers dedupe by."""

    @property
    def type(self) -> str:
        """The event's type, such as `betting.offer.placed.v1`."""

    def model_dump_json(self, *, exclude_none: bool = ...) -> str:
        """The whole event as JSON."""


async def announce(
    conn: Connection,
    *,
    aggregate: str,
    version: int,
    envelope: Envelope,
    exchange: str = EVENTS_EXCHANGE,
    routing_key: str | None = None,
) -> None:
    """Write an event (or, with another exchange, a command) beside the change it tells of.

    `version` is the aggregate's after the change; `routing_key` is the event's type unless given.
    The current trace travels in the message's headers.
    """
    parent = traceparent()
    await conn.execute(
        _ANNOUNCE,
        envelope.id,
        exchange,
        routing_key or envelope.type,
        aggregate,
        version,
        envelope.model_dump_json(exclude_none=True),
        json.dumps({} if parent is None else {"traceparent": parent}),
    )


async def shard_of(conn: Connection, aggregate: str) -> int:
    """The shard (0 to 15) that carries this aggregate's events."""
    shard: int = await conn.fetchval(_SHARD_OF, aggregate)
    return shard


_ANNOUNCE = """
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body, headers)
    VALUES ((hashtextextended($4, 0) & 15)::smallint, $1, $2, $3, $4, $5, $6, $7)
"""
_SHARD_OF = "SELECT (hashtextextended($1, 0) & 15)::smallint"
