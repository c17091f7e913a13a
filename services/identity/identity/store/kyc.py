"""KYC cases and their evidence."""

from datetime import datetime

import asyncpg

from identity.domain.approvals import ApprovalId
from identity.domain.kyc import Case, CaseId, Evidence, EvidenceKind, KycState
from identity.domain.people import UserId
from identity.store.base import Store

PAGE = 200


class KycStore(Store):
    """Rows of `kyc_case` and `kyc_evidence`. Whoever changes a case holds the lock on its person's row."""

    async def add(self, case: Case) -> None:
        await self._connection.execute(
            "INSERT INTO kyc_case (id, user_id, state, opened_at) VALUES ($1, $2, $3, $4)",
            case.id,
            case.user,
            case.state.value,
            case.opened_at,
        )

    async def save(self, case: Case, *, approval: ApprovalId | None = None) -> None:
        """Write a case that has moved on, with the request by which it was decided."""
        await self._connection.execute(
            """
            UPDATE kyc_case SET state = $2, version = $3, submitted_at = $4, decided_at = $5,
                   approval = coalesce($6, approval)
            WHERE id = $1
            """,
            case.id,
            case.state.value,
            case.version,
            case.submitted_at,
            case.decided_at,
            approval,
        )

    async def latest(self, user_id: UserId) -> Case | None:
        """Somebody's newest case."""
        row = await self._connection.fetchrow(
            "SELECT * FROM kyc_case WHERE user_id = $1 ORDER BY opened_at DESC, id LIMIT 1", user_id
        )
        return None if row is None else _case(row)

    async def case(self, case_id: CaseId) -> Case | None:
        row = await self._connection.fetchrow("SELECT * FROM kyc_case WHERE id = $1", case_id)
        return None if row is None else _case(row)

    async def live(self, user_id: UserId) -> tuple[Case, ...]:
        """Somebody's cases that count now: open, or approved."""
        rows = await self._connection.fetch(
            "SELECT * FROM kyc_case WHERE user_id = $1 AND state IN ('DRAFT', 'SUBMITTED', 'APPROVED')",
            user_id,
        )
        return tuple(_case(row) for row in rows)

    async def cases(self, state: KycState) -> tuple[Case, ...]:
        """Cases in that state, the one that waits longest first, at most 200."""
        rows = await self._connection.fetch(
            "SELECT * FROM kyc_case WHERE state = $1 ORDER BY submitted_at, id LIMIT $2", state.value, PAGE
        )
        return tuple(_case(row) for row in rows)

    async def put_evidence(
        self, case_id: CaseId, kind: EvidenceKind, media_type: str, content: bytes, *, at: datetime
    ) -> None:
        """Add a file to a draft, in the place of an earlier one of its kind."""
        await self._connection.execute(
            """
            INSERT INTO kyc_evidence (case_id, kind, media_type, content, sha256, added_at)
            VALUES ($1, $2, $3, $4, sha256($4), $5)
            ON CONFLICT (case_id, kind) DO UPDATE SET media_type = excluded.media_type, content = excluded.content,
                sha256 = excluded.sha256, added_at = excluded.added_at
            """,
            case_id,
            kind.value,
            media_type,
            content,
            at,
        )

    async def evidence(self, case_id: CaseId) -> tuple[Evidence, ...]:
        rows = await self._connection.fetch(
            "SELECT kind, media_type, sha256, added_at FROM kyc_evidence WHERE case_id = $1 ORDER BY kind",
            case_id,
        )
        return tuple(
            Evidence(EvidenceKind(row["kind"]), row["media_type"], row["sha256"], row["added_at"])
            for row in rows
        )

    async def content(self, case_id: CaseId, kind: EvidenceKind) -> tuple[str, bytes] | None:
        """The media type and the content of one file."""
        row = await self._connection.fetchrow(
            "SELECT media_type, content FROM kyc_evidence WHERE case_id = $1 AND kind = $2",
            case_id,
            kind.value,
        )
        return None if row is None else (row["media_type"], row["content"])


def _case(row: asyncpg.Record) -> Case:
    return Case(
        id=CaseId(row["id"]),
        user=UserId(row["user_id"]),
        state=KycState(row["state"]),
        version=row["version"],
        opened_at=row["opened_at"],
        submitted_at=row["submitted_at"],
        decided_at=row["decided_at"],
    )
