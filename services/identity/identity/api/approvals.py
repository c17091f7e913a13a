"""Requests that take four eyes: listing and deciding them."""

from datetime import datetime
from uuid import UUID

from aiohttp import web
from common.http import Role, Route, View, read_query, reply
from common.http.cursors import write_cursor
from common.idempotency import Answer

from identity.api.parts import APPROVALS, PageQuery, caller, id_in_path, place_by_time
from identity.domain.approvals import (
    Act,
    Approval,
    ApprovalDecided,
    ApprovalId,
    ApprovalOpen,
    ApprovalState,
    AskerMayNot,
    FourEyesNeeded,
    InvalidReason,
    NoSuchApproval,
    NotYourAct,
)
from identity.domain.kyc import CaseNotOpen
from identity.domain.people import AccountClosed, AlreadyRegistered, SessionEnded, Underage
from identity.passwords import HashingBusy
from identity.sessions import SessionsUnavailable
from identity.store.approvals import ApprovalPlace

DECIDERS = (Role.ADMIN, Role.CASHIER)
REFUSALS = (NotYourAct, FourEyesNeeded, ApprovalOpen, InvalidReason, SessionEnded)
"""What asking may be answered."""


class ApprovalView(View):
    """A request, and what came of it."""

    id: UUID
    act: Act
    subject: str
    details: dict[str, str]
    reason: str
    requested_by: UUID
    requested_at: datetime
    state: ApprovalState
    decided_by: UUID | None
    decided_at: datetime | None

    @classmethod
    def of(cls, approval: Approval) -> "ApprovalView":
        return cls(
            id=approval.id,
            act=approval.act,
            subject=approval.subject,
            details=dict(approval.details),
            reason=approval.reason,
            requested_by=approval.requested_by,
            requested_at=approval.requested_at,
            state=approval.state,
            decided_by=approval.decided_by,
            decided_at=approval.decided_at,
        )


class ApprovalsView(View):
    """A page of requests. `next` goes into `after`; null: there are no more."""

    items: tuple[ApprovalView, ...]
    next: str | None


class ApprovalsQuery(PageQuery):
    """A page of the requests in one state."""

    state: ApprovalState = ApprovalState.OPEN


def shown(approval: Approval) -> Answer:
    """The answer to somebody who asked."""
    return Answer.of(ApprovalView.of(approval), status=202, resource=str(approval.id))


async def approvals(request: web.Request) -> web.Response:
    """The requests one may decide, the newest first."""
    page = read_query(request, ApprovalsQuery)
    order = f"approvals/{page.state}"
    place = None if page.after is None else ApprovalPlace(*place_by_time(page.after, order))
    found = await request.app[APPROVALS].approvals(caller(request), page.state, place, limit=page.limit)
    full = len(found) == page.limit
    after = write_cursor(order, found[-1].requested_at.isoformat(), str(found[-1].id)) if full else None
    return reply(ApprovalsView(items=tuple(ApprovalView.of(each) for each in found), next=after))


async def approve(request: web.Request) -> web.Response:
    """Approve what somebody else asked for. It has happened when this is answered."""
    return await _decide(request, approve=True)


async def refuse(request: web.Request) -> web.Response:
    """Refuse what somebody else asked for."""
    return await _decide(request, approve=False)


async def _decide(request: web.Request, *, approve: bool) -> web.Response:
    approval_id = id_in_path(request, "approval_id")
    if approval_id is None:
        raise NoSuchApproval("There is no such request.")
    decided = await request.app[APPROVALS].decide(caller(request), ApprovalId(approval_id), approve=approve)
    return reply(ApprovalView.of(decided))


_DECIDING = (NoSuchApproval, NotYourAct, FourEyesNeeded, ApprovalDecided, SessionEnded, SessionsUnavailable)

ROUTES = (
    Route("GET", "/v1/approvals", approvals, query=ApprovalsQuery, returns=ApprovalsView, role=DECIDERS),
    Route("POST", "/v1/approvals/{approval_id}/approve", approve, returns=ApprovalView, role=DECIDERS, step_up=True,
          refusals=(*_DECIDING, AskerMayNot, AlreadyRegistered, Underage, AccountClosed, CaseNotOpen, HashingBusy)),
    Route("POST", "/v1/approvals/{approval_id}/refuse", refuse, returns=ApprovalView, role=DECIDERS, step_up=True,
          refusals=_DECIDING),
)  # fmt: skip
