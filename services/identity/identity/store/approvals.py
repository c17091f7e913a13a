"""Requests that take four eyes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from common.errors import DomainError
from common.pg import translate

from identity.domain.approvals import Act, Approval, ApprovalId, ApprovalOpen, ApprovalState
from identity.domain.people import UserId
from identity.store.base import Store


def _open() -> DomainError:
    return ApprovalOpen("Decide the open request first.")


VIOLATIONS: Mapping[str, Callable[[], DomainError]] = {"approval_is_open_once": _open}


@dataclass(frozen=True, slots=True)
class ApprovalPlace:
    """Where a page of requests ended."""

    requested_at: datetime
    id: UUID


class ApprovalStore(Store):
    """Rows of `approval`."""

    async def add(self, approval: Approval) -> None:
        """Raises ApprovalOpen."""
        with translate(VIOLATIONS):
            await self._connection.execute(
                """
                INSERT INTO approval (id, act, subject, details, reason, requested_by, requested_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                """,
                approval.id,
                approval.act.value,
                approval.subject,
                json.dumps(dict(approval.details)),
                approval.reason,
                approval.requested_by,
                approval.requested_at,
            )

    async def approval(self, approval_id: ApprovalId) -> Approval | None:
        row = await self._connection.fetchrow("SELECT * FROM approval WHERE id = $1", approval_id)
        return None if row is None else _approval(row)

    async def approval_for_update(self, approval_id: ApprovalId) -> Approval | None:
        row = await self._connection.fetchrow("SELECT * FROM approval WHERE id = $1 FOR UPDATE", approval_id)
        return None if row is None else _approval(row)

    async def decide(self, approval: Approval) -> None:
        await self._connection.execute(
            "UPDATE approval SET state = $2, decided_by = $3, decided_at = $4 WHERE id = $1",
            approval.id,
            approval.state.value,
            approval.decided_by,
            approval.decided_at,
        )

    async def approvals(
        self, acts: frozenset[Act], state: ApprovalState, after: ApprovalPlace | None, *, limit: int
    ) -> tuple[Approval, ...]:
        """At most so many requests of those kinds in that state beyond that place, the newest first."""
        requested_at, approval_id = (None, None) if after is None else (after.requested_at, after.id)
        rows = await self._connection.fetch(
            """
            SELECT * FROM approval
            WHERE state = $1 AND act = ANY ($2) AND ($3::timestamptz IS NULL OR (requested_at, id) < ($3, $4::uuid))
            ORDER BY requested_at DESC, id DESC LIMIT $5
            """,
            state.value,
            sorted(act.value for act in acts),
            requested_at,
            approval_id,
            limit,
        )
        return tuple(_approval(row) for row in rows)


def _approval(row: asyncpg.Record) -> Approval:
    return Approval(
        id=ApprovalId(row["id"]),
        act=Act(row["act"]),
        subject=row["subject"],
        details=json.loads(row["details"]),
        reason=row["reason"],
        requested_by=UserId(row["requested_by"]),
        requested_at=row["requested_at"],
        state=ApprovalState(row["state"]),
        decided_by=None if row["decided_by"] is None else UserId(row["decided_by"]),
        decided_at=row["decided_at"],
    )
