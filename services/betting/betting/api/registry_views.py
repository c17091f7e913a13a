"""What is shown of what stands behind the programme: carriles, permits, stables, tax rates, suspensions."""

from datetime import date, datetime
from uuid import UUID

from common.http import View

from betting.domain.events import Permit
from betting.domain.margins import Margin
from betting.domain.withholding import ApprovalStatus, RateApproval
from betting.store.registry import Carril, Stable
from betting.store.suspensions import Scope, Suspension


class CarrilView(View):
    """A straight track."""

    id: UUID
    name: str
    state: str
    length_m: int
    margins: tuple[Margin, ...]

    @classmethod
    def of(cls, carril: Carril) -> "CarrilView":
        return cls(
            id=carril.id,
            name=carril.name,
            state=carril.state,
            length_m=carril.length_m,
            margins=carril.margins,
        )


class CarrilesView(View):
    """All tracks, by name."""

    items: tuple[CarrilView, ...]


class PermitView(View):
    """A permit."""

    id: UUID
    number: str
    venue: str
    issuer: str
    valid_from: date
    valid_to: date

    @classmethod
    def of(cls, permit: Permit) -> "PermitView":
        return cls(
            id=permit.id,
            number=permit.number,
            venue=permit.venue,
            issuer=permit.issuer,
            valid_from=permit.valid_from,
            valid_to=permit.valid_to,
        )


class StableView(View):
    """A stable."""

    id: UUID
    name: str

    @classmethod
    def of(cls, stable: Stable) -> "StableView":
        return cls(id=stable.id, name=stable.name)


class AppointmentView(View):
    """An official of an event."""

    official_id: UUID


class RateApprovalView(View):
    """A rate that was asked for, and what came of it; nobody approves it from `ends_at` on."""

    id: UUID
    state: str
    valid_from: date
    name: str
    bps: int
    reason: str
    requested_by: UUID
    requested_at: datetime
    ends_at: datetime
    status: ApprovalStatus
    decided_by: UUID | None
    decided_at: datetime | None

    @classmethod
    def of(cls, approval: RateApproval) -> "RateApprovalView":
        return cls(
            id=approval.id,
            state=approval.rate.state,
            valid_from=approval.rate.valid_from,
            name=approval.rate.name,
            bps=approval.rate.bps,
            reason=approval.reason,
            requested_by=approval.requested_by,
            requested_at=approval.requested_at,
            ends_at=approval.ends_at,
            status=approval.status,
            decided_by=approval.decided_by,
            decided_at=approval.decided_at,
        )


class RateApprovalsView(View):
    items: list[RateApprovalView]


class SuspensionView(View):
    """A suspension; in force until it is lifted."""

    id: UUID
    scope: Scope
    subject: UUID | None
    reason: str
    imposed_by: UUID
    imposed_at: datetime
    lifted_by: UUID | None
    lifted_at: datetime | None
    lift_reason: str | None

    @classmethod
    def of(cls, suspension: Suspension) -> "SuspensionView":
        return cls(
            id=suspension.id,
            scope=suspension.scope,
            subject=suspension.subject,
            reason=suspension.reason,
            imposed_by=suspension.imposed_by,
            imposed_at=suspension.imposed_at,
            lifted_by=suspension.lifted_by,
            lifted_at=suspension.lifted_at,
            lift_reason=suspension.lift_reason,
        )
