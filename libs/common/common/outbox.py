"""The outbox: an event leaves in the transaction that makes it true, and the relay carries it out.

Rows are sharded by aggregate and ordered within a shard by id, so an aggregate's events keep their
order as long as its row is locked (and its version bumped) before `announce` is called.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event (or, with another exchange, a command) and the aggregate it is about.

    `version` is the aggregate's after the change; `routing_key` is the event's type unless given.
    """

    aggregate: str
    version: int
    envelope: Envelope
    exchange: str = EVENTS_EXCHANGE
    routing_key: str | None = None


async def announce(
    conn: Connection,
    *,
    aggregate: str,
    version: int,
    envelope: Envelope,
    exchange: str = EVENTS_EXCHANGE,
    routing_key: str | None = None,
) -> None:
    """Write one `Announcement` beside the change it tells of. See `announce_all`."""
    await announce_all(conn, (Announcement(aggregate, version, envelope, exchange, routing_key),))


async def announce_all(conn: Connection, announcements: Sequence[Announcement]) -> None:
    """Write what a change has to tell, in this order and in one statement, beside the change itself.

    The current trace travels in the messages' headers.
    """
    parent = traceparent()
    await conn.execute(
        _ANNOUNCE,
        [each.envelope.id for each in announcements],
        [each.exchange for each in announcements],
        [each.routing_key or each.envelope.type for each in announcements],
        [each.aggregate for each in announcements],
        [each.version for each in announcements],
        [each.envelope.model_dump_json(exclude_none=True) for each in announcements],
        json.dumps({} if parent is None else {"traceparent": parent}),
    )


async def shard_of(conn: Connection, aggregate: str) -> int:
    """The shard (0 to 15) that carries this aggregate's events."""
    shard: int = await conn.fetchval(_SHARD_OF, aggregate)
    return shard


_ANNOUNCE = """
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body, headers)
    SELECT (hashtextextended(aggregate, 0) & 15)::smallint, event_id, exchange, routing_key, aggregate, version,
           body, $7::jsonb
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::json[]) WITH ORDINALITY
         AS told (event_id, exchange, routing_key, aggregate, version, body, place)
    ORDER BY place
"""
_SHARD_OF = "SELECT (hashtextextended($1, 0) & 15)::smallint"
