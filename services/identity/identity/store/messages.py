"""Codes and the messages that carry them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from identity.domain.codes import MessageKind, OutboundMessage, Purpose, Verification
from identity.domain.people import UserId
from identity.store.base import Store


class MessageStore(Store):
    """Rows of `verification` and `outbound_message`."""

    async def add_verification(self, verification: Verification) -> None:
        await self._connection.execute(
            """
            INSERT INTO verification (id, addressee, user_id, purpose, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            """,
            verification.id,
            verification.addressee,
            verification.user,
            verification.purpose.value,
            verification.created_at,
            verification.expires_at,
        )

    async def latest_for_update(self, addressee: str, purpose: Purpose) -> Verification | None:
        """The newest code of an address for that purpose, locked, unless it has been used. An older one is worth nothing."""
        row = await self._connection.fetchrow(
            """
            SELECT * FROM verification WHERE addressee = $1 AND purpose = $2
            ORDER BY created_at DESC, id LIMIT 1 FOR UPDATE
            """,
            addressee,
            purpose.value,
        )
        return None if row is None or row["used_at"] is not None else _verification(row)

    async def count_attempt(self, verification: Verification) -> None:
        await self._connection.execute(
            "UPDATE verification SET attempts = attempts + 1 WHERE id = $1 AND attempts < 5", verification.id
        )

    async def use(self, verification_id: UUID, *, at: datetime) -> None:
        await self._connection.execute(
            "UPDATE verification SET used_at = $2 WHERE id = $1", verification_id, at
        )

    async def add_message(self, message: OutboundMessage) -> None:
        await self._connection.execute(
            """
            INSERT INTO outbound_message (id, kind, recipient, verification_id, created_at, retry_at)
            VALUES ($1, $2, $3, $4, $5, $5)
            """,
            message.id,
            message.kind.value,
            message.recipient,
            message.verification,
            message.created_at,
        )

    async def lease(self, *, limit: int, now: datetime, until: datetime) -> Sequence[OutboundMessage]:
        """Messages that are due, each given to one sender until then."""
        rows = await self._connection.fetch(
            """
            UPDATE outbound_message SET retry_at = $3, attempts = attempts + 1
            WHERE id IN (SELECT id FROM outbound_message
                         WHERE sent_at IS NULL AND given_up_at IS NULL AND recipient IS NOT NULL AND retry_at <= $2
                         ORDER BY retry_at LIMIT $1 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            limit,
            now,
            until,
        )
        return [_message(row) for row in rows]

    async def sent(self, message_id: UUID, *, at: datetime) -> None:
        await self._connection.execute(
            "UPDATE outbound_message SET sent_at = $2 WHERE id = $1", message_id, at
        )

    async def give_up(self, message_id: UUID, *, at: datetime) -> None:
        await self._connection.execute(
            "UPDATE outbound_message SET given_up_at = $2 WHERE id = $1", message_id, at
        )


def _verification(row: asyncpg.Record) -> Verification:
    return Verification(
        id=row["id"],
        addressee=row["addressee"],
        user=None if row["user_id"] is None else UserId(row["user_id"]),
        purpose=Purpose(row["purpose"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        attempts=row["attempts"],
    )


def _message(row: asyncpg.Record) -> OutboundMessage:
    return OutboundMessage(
        id=row["id"],
        kind=MessageKind(row["kind"]),
        recipient=row["recipient"],
        verification=row["verification_id"],
        created_at=row["created_at"],
        attempts=row["attempts"],
    )
