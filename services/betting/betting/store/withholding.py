"""Tax rates, and the requests that they come about by."""

from collections.abc import Callable, Mapping
from typing import Final

import asyncpg
from common.errors import DomainError
from common.pg import Connection, translate

from betting.domain.errors import ApprovalEnded, RateExists, RateTooLate
from betting.domain.ids import RaceId, UserId
from betting.domain.withholding import ApprovalStatus, RateApproval, RateApprovalId, TaxRate

PAGE: Final = 200


def _exists() -> DomainError:
    return RateExists("that day has its rate", field="valid_from")


def _too_late() -> DomainError:
    return RateTooLate(
        "that day has begun, or an event after it: a rate is for days to come", field="valid_from"
    )


def _ended() -> DomainError:
    return ApprovalEnded("ask anew")


VIOLATIONS: Final[Mapping[str, Callable[[], DomainError]]] = {
    "withholding_rate_is_unique": _exists,
    "withholding_rate_is_for_days_to_come": _too_late,
    "rate_approval_is_in_time": _ended,
}


class WithholdingStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def ask(self, id: RateApprovalId, rate: TaxRate, reason: str, by: UserId) -> RateApproval:
        """Write down that somebody asks for a rate. Raises RateTooLate for a day that has begun, and RateExists: what is
        law on a day is not changed."""
        if await self._conn.fetchval(
            "SELECT true FROM withholding_rate WHERE state = $1 AND valid_from = $2",
            rate.state,
            rate.valid_from,
        ):
            raise _exists()
        with translate(VIOLATIONS):
            row = await self._conn.fetchrow(
                """
                INSERT INTO rate_approval (id, state, valid_from, name, bps, reason, requested_by)
                VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *
                """,
                id, rate.state, rate.valid_from, rate.name, rate.bps, reason, by,
            )  # fmt: skip
        assert row is not None  # noqa: S101 - an INSERT returns its row
        return _approval(row)

    async def approval(self, id: RateApprovalId) -> RateApproval | None:
        row = await self._conn.fetchrow("SELECT * FROM rate_approval WHERE id = $1", id)
        return None if row is None else _approval(row)

    async def approval_for_update(self, id: RateApprovalId) -> RateApproval | None:
        row = await self._conn.fetchrow("SELECT * FROM rate_approval WHERE id = $1 FOR UPDATE", id)
        return None if row is None else _approval(row)

    async def decide(self, id: RateApprovalId, status: ApprovalStatus, by: UserId) -> RateApproval:
        """Decide a request that is locked; an approved one becomes a rate with that, by trigger.

        Raises RateTooLate, RateExists, ApprovalEnded.
        """
        with translate(VIOLATIONS):
            row = await self._conn.fetchrow(
                "UPDATE rate_approval SET status = $2, decided_by = $3 WHERE id = $1 RETURNING *",
                id,
                status,
                by,
            )
        assert row is not None  # noqa: S101 - it is locked
        return _approval(row)

    async def approvals(self, status: ApprovalStatus) -> list[RateApproval]:
        """Requests of that status, the newest first, at most 200."""
        rows = await self._conn.fetch(
            "SELECT * FROM rate_approval WHERE status = $1 ORDER BY requested_at DESC, id DESC LIMIT $2",
            status,
            PAGE,
        )
        return [_approval(row) for row in rows]

    async def rate_of_race(self, race_id: RaceId) -> TaxRate | None:
        """The rate in force in the event's state on the event's day."""
        row = await self._conn.fetchrow(
            """
            SELECT w.state, w.valid_from, w.name, w.bps
              FROM race r JOIN event e ON e.id = r.event_id
              JOIN withholding_rate w ON w.state = e.state AND w.valid_from <= e.day
             WHERE r.id = $1 ORDER BY w.valid_from DESC LIMIT 1
            """,
            race_id,
        )
        return None if row is None else TaxRate(row["state"], row["valid_from"], row["name"], row["bps"])


def _approval(row: asyncpg.Record) -> RateApproval:
    return RateApproval(
        id=RateApprovalId(row["id"]),
        rate=TaxRate(row["state"], row["valid_from"], row["name"], row["bps"]),
        reason=row["reason"],
        requested_by=UserId(row["requested_by"]),
        requested_at=row["requested_at"],
        ends_at=row["ends_at"],
        status=ApprovalStatus(row["status"]),
        decided_by=None if row["decided_by"] is None else UserId(row["decided_by"]),
        decided_at=row["decided_at"],
    )
