"""Webhooks with the bytes they came as."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from common.pg import Connection

from payments.store.errors import LeaseLost


@dataclass(frozen=True, slots=True)
class Hint:
    """A webhook to be worked on. `object_id` is all that is read from it."""

    id: int
    object_id: str | None
    tries: int
    leases: int


class WebhookStore:
    """Webhooks on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def add(
        self, source: str, webhook_id: str, sent_at: datetime, raw: bytes, object_id: str | None
    ) -> bool:
        """Keep one, due at once; False when one of its id came before."""
        added = await self._conn.fetchval(
            """
            INSERT INTO webhook (source, webhook_id, sent_at, raw, object_id) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT ON CONSTRAINT webhook_comes_once DO NOTHING RETURNING true
            """,
            source,
            webhook_id,
            sent_at,
            raw,
            object_id,
        )
        return bool(added)

    async def lease_due(self, now: datetime, until: datetime, limit: int) -> Sequence[Hint]:
        """Take webhooks that are due, for one worker until that time."""
        rows = await self._conn.fetch(
            """
            UPDATE webhook SET due_at = $2, tries = tries + 1, leases = leases + 1
            WHERE id IN (SELECT id FROM webhook WHERE due_at <= $1
                         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING id, object_id, tries, leases
            """,
            now,
            until,
            limit,
        )
        return [Hint(*row) for row in rows]

    async def save(self, hint: Hint, state: str, outcome: str, due_at: datetime | None) -> None:
        """What became of it. Raises `LeaseLost`."""
        changed = await self._conn.fetchval(
            """
            UPDATE webhook SET state = $3, outcome = $4, due_at = $5
            WHERE id = $1 AND leases = $2 AND state = 'RECEIVED' RETURNING true
            """,
            hint.id,
            hint.leases,
            state,
            outcome,
            due_at,
        )
        if changed is None:
            raise LeaseLost(f"webhook {hint.id} is no longer as it was leased")
