"""Every statement the relay runs: it reads and deletes outbox rows, locks shards, and asks for old rows to go.

Claim and read are two statements on purpose. A statement sees what was committed before it began:
joined, it could read rows that the shard's last holder has just delivered and deleted.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from common.pg import Connection, Pool, unavailable

from relay.domain import Backlog, Row

SESSION: Final[Mapping[str, str]] = MappingProxyType(
    {"enable_seqscan": "off", "jit": "off", "synchronous_commit": "off"}
)
"""Every look-up here goes by the primary key. Left to itself the server plans for the outbox it knows,
usually an empty one, and keeps that plan: with a backlog of 100,000 rows it then reads them all, several
times a batch. For the same reason no statement joins the outbox to anything. A forbidden sequential scan is
only priced out of reach, and that price calls in the JIT compiler: 65 ms of CPU a look. So it is off too.

Nothing here waits for the disk: all that a crash of the server can undo is a deletion, and then the rows of its
last half second are sent again (docs/adr/0035)."""


async def waits(pool: Pool) -> bool:
    """Whether there is any row at all, in one statement by itself. Raises `DatabaseUnavailable`."""
    with unavailable():
        return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM outbox)"))


async def claim(conn: Connection, *, at_most: int, first: int, without: Collection[int]) -> list[int]:
    """Lock up to `at_most` shards that have rows and that nobody holds, until the transaction ends.

    The search begins at shard `first`, so that no shard is always last.
    """
    rows = await conn.fetch(
        """
        SELECT s.shard FROM outbox_shard AS s
        WHERE s.shard <> ALL ($3::smallint[])
          AND (SELECT o.id FROM outbox AS o WHERE o.shard = s.shard ORDER BY o.id LIMIT 1) IS NOT NULL
        ORDER BY (s.shard - $2::int + 16) % 16
        LIMIT $1 FOR UPDATE OF s SKIP LOCKED
        """,
        at_most,
        first,
        list(without),
    )
    return [row["shard"] for row in rows]


async def oldest(conn: Connection, shards: Sequence[int], *, per_shard: int) -> list[Row]:
    """The oldest rows of each shard, in the order in which they must leave.

    A trace that is told in the event alone (the ledger's triggers write it there) is put into the headers.
    """
    rows = await conn.fetch(
        """
        SELECT o.shard, o.id, o.event_id, o.exchange, o.routing_key, o.aggregate, o.body,
               CASE WHEN o.body -> 'traceparent' IS NOT NULL AND NOT o.headers ? 'traceparent'
                    THEN o.headers || jsonb_build_object('traceparent', o.body -> 'traceparent')
                    ELSE o.headers END AS headers
        FROM unnest($1::smallint[]) AS claimed (shard)
        CROSS JOIN LATERAL (SELECT * FROM outbox WHERE outbox.shard = claimed.shard ORDER BY id LIMIT $2) AS o
        ORDER BY o.shard, o.id
        """,
        shards,
        per_shard,
    )
    return [
        Row(
            shard=row["shard"],
            id=row["id"],
            event_id=row["event_id"],
            exchange=row["exchange"],
            routing_key=row["routing_key"],
            aggregate=row["aggregate"],
            body=row["body"],
            headers=json.loads(row["headers"]),
        )
        for row in rows
    ]


async def mark_sent(pool: Pool, until: Mapping[int, int]) -> dict[int, int]:
    """Note by shard up to which id its rows are being sent, and tell what was noted before.

    Committed by itself, on a connection of its own: it must be seen by whoever takes the shard over when
    this relay dies before it deletes. Only the shard's holder calls it.
    """
    rows = await pool.fetch(
        """
        UPDATE outbox_sent AS sent SET until = marked.until
        FROM unnest($1::smallint[], $2::bigint[]) AS marked (shard, until)
        JOIN outbox_sent AS before USING (shard)
        WHERE sent.shard = marked.shard
        RETURNING sent.shard, before.until
        """,
        list(until),
        list(until.values()),
    )
    return {row["shard"]: row["until"] for row in rows}


async def delete(conn: Connection, rows: Sequence[Row]) -> None:
    """Forget rows that the broker has. An id is never used twice, in whatever shard."""
    await conn.execute(
        "DELETE FROM outbox WHERE shard = ANY ($1::smallint[]) AND id = ANY ($2::bigint[])",
        sorted({row.shard for row in rows}),
        [row.id for row in rows],
    )


async def end_frozen(pool: Pool, *, older_than_seconds: float) -> int:
    """End this login's transactions that began so long ago. Returns how many.

    The server does the same to one that idles, but not to one that stands still in the middle of a statement's
    messages: frozen between preparing a statement and running it, a relay would keep its shards for ever.
    """
    ended: int = await pool.fetchval(
        """
        SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
          AND xact_start < clock_timestamp() - make_interval(secs => $1)
        """,
        older_than_seconds,
    )
    return ended


async def forgettable(pool: Pool) -> list[str]:
    """The tables of this database that the relay may forget old rows of, in no order that matters."""
    rows = await pool.fetch(
        """
        SELECT substr(proname, length('forget_') + 1) AS name FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname = ANY ($1::text[])
          AND has_function_privilege(oid, 'EXECUTE')
        """,
        list(_FORGET),
    )
    return [row["name"] for row in rows]


async def forget(pool: Pool, table: str, *, at_most: int) -> int:
    """Delete so many rows of that table that the database lets go, the oldest first. Returns how many."""
    gone: int = await pool.fetchval(_FORGET[f"forget_{table}"], at_most)
    return gone


async def backlog(pool: Pool) -> list[Backlog]:
    """What waits, shard by shard; shards without rows are left out."""
    rows = await pool.fetch(
        """
        SELECT shard, count(*) AS rows,
               greatest(0, extract(epoch FROM clock_timestamp() - min(created_at)))::float8 AS oldest_seconds
        FROM outbox GROUP BY shard
        """
    )
    return [Backlog(row["shard"], row["rows"], row["oldest_seconds"]) for row in rows]


_FORGET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "forget_inbox": "SELECT forget_inbox($1)",
        "forget_deadline": "SELECT forget_deadline($1)",
    }
)
