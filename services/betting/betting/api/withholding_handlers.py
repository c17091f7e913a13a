"""Tax rates: one administrator asks, another one decides."""

from aiohttp import web
from common.client import Unreachable
from common.http import Role, Route, read, read_query, reply
from common.idempotency import Answer

from betting.api.official_requests import RateApprovalsQuery, RateRequest
from betting.api.registry_views import RateApprovalsView, RateApprovalView
from betting.api.services import ONCE, WITHHOLDING, call_of, id_of
from betting.domain import errors
from betting.domain.withholding import RateApprovalId


async def ask_rate(request: web.Request) -> web.Response:
    """Ask for what the law of a state withholds of profits from a day on: one that has not begun, nor any event since.

    Another administrator decides, within a day.
    """
    wanted = await read(request, RateRequest)
    answer = await request.app[WITHHOLDING].ask(
        call_of(request, wanted),
        wanted.to_domain(),
        wanted.reason,
        lambda approval: Answer.of(RateApprovalView.of(approval), status=202, resource=str(approval.id)),
    )
    return reply(answer)


async def rate_approvals(request: web.Request) -> web.Response:
    """The rates that were asked for, the newest first, at most 200."""
    wanted = read_query(request, RateApprovalsQuery)
    found = await request.app[WITHHOLDING].approvals(wanted.status)
    return reply(RateApprovalsView(items=[RateApprovalView.of(each) for each in found]))


async def approve_rate(request: web.Request) -> web.Response:
    """Approve what another administrator asked for. It is the rate when this is answered."""
    return await _decide(request, approve=True)


async def refuse_rate(request: web.Request) -> web.Response:
    """Refuse what another administrator asked for."""
    return await _decide(request, approve=False)


async def _decide(request: web.Request, *, approve: bool) -> web.Response:
    answer = await request.app[WITHHOLDING].decide(
        call_of(request),
        RateApprovalId(id_of(request)),
        lambda approval: Answer.of(RateApprovalView.of(approval)),
        approve=approve,
    )
    return reply(answer)


DECIDING = (*ONCE, errors.NoSuchApproval, errors.FourEyesNeeded, errors.ApprovalDecided)

ROUTES = (
    Route("POST", "/v1/withholding-rates", ask_rate, body=RateRequest, returns=RateApprovalView, status=202,
          role=Role.ADMIN, idempotent=True, step_up=True, refusals=(*ONCE, errors.RateExists, errors.RateTooLate)),
    Route("GET", "/v1/withholding-rates", rate_approvals, query=RateApprovalsQuery, returns=RateApprovalsView,
          role=(Role.AUDITOR, Role.ADMIN)),
    Route("POST", "/v1/withholding-rates/{id}/approve", approve_rate, returns=RateApprovalView, role=Role.ADMIN,
          idempotent=True, step_up=True,
          refusals=(*DECIDING, errors.ApprovalEnded, errors.AskerMayNot, errors.RateExists, errors.RateTooLate, Unreachable)),
    Route("POST", "/v1/withholding-rates/{id}/refuse", refuse_rate, returns=RateApprovalView, role=Role.ADMIN,
          idempotent=True, step_up=True, refusals=DECIDING),
)  # fmt: skip
