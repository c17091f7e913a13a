"""What officials and administrators register, and what they suspend."""

from aiohttp import web
from common.http import Role, Route, read, reply
from common.idempotency import Answer

from betting.api.official_requests import (
    AppointmentRequest,
    CarrilRequest,
    MemberRequest,
    PermitRequest,
    ReasonRequest,
    StableRequest,
    SuspensionRequest,
)
from betting.api.registry_views import (
    AppointmentView,
    CarrilView,
    PermitView,
    StableView,
    SuspensionView,
)
from betting.api.services import ONCE, REGISTRY, SUSPENDING, call_of, id_of
from betting.domain import errors
from betting.domain.ids import EventId, StableId, SuspensionId, UserId

# -- what stands behind the programme


async def add_carril(request: web.Request) -> web.Response:
    """Register a track."""
    wanted = await read(request, CarrilRequest)
    answer = await request.app[REGISTRY].add_carril(
        call_of(request, wanted),
        wanted.to_domain(),
        lambda carril: Answer.of(CarrilView.of(carril), status=201),
    )
    return reply(answer)


async def add_permit(request: web.Request) -> web.Response:
    """Register a permit: events are published under one that covers their venue and day."""
    wanted = await read(request, PermitRequest)
    answer = await request.app[REGISTRY].add_permit(
        call_of(request, wanted),
        wanted.to_domain(),
        lambda permit: Answer.of(PermitView.of(permit), status=201),
    )
    return reply(answer)


async def add_stable(request: web.Request) -> web.Response:
    """Register a stable."""
    wanted = await read(request, StableRequest)
    answer = await request.app[REGISTRY].add_stable(
        call_of(request, wanted), wanted.name, lambda stable: Answer.of(StableView.of(stable), status=201)
    )
    return reply(answer)


async def add_stable_member(request: web.Request) -> web.Response:
    """Say that somebody belongs to a stable."""
    wanted = await read(request, MemberRequest)
    answer = await request.app[REGISTRY].add_member(
        call_of(request, wanted),
        StableId(id_of(request)),
        UserId(wanted.user_id),
        wanted.part,
        lambda stable: Answer.of(StableView.of(stable)),
    )
    return reply(answer)


async def appoint_official(request: web.Request) -> web.Response:
    """Appoint an official to an event."""
    wanted = await read(request, AppointmentRequest)
    answer = await request.app[REGISTRY].appoint(
        call_of(request, wanted),
        EventId(id_of(request)),
        UserId(wanted.official_id),
        lambda official: Answer.of(AppointmentView(official_id=official)),
    )
    return reply(answer)


# -- suspensions


async def suspend(request: web.Request) -> web.Response:
    """Suspend everything, an event, a market or a person. A person's resting offers end; bets stand."""
    wanted = await read(request, SuspensionRequest)
    answer = await request.app[SUSPENDING].impose(
        call_of(request, wanted),
        wanted.scope,
        wanted.subject,
        wanted.reason,
        lambda suspension: Answer.of(SuspensionView.of(suspension), status=201),
    )
    return reply(answer)


async def lift_suspension(request: web.Request) -> web.Response:
    """Lift a suspension. Markets open again, at a new version, unless another suspension stops them."""
    wanted = await read(request, ReasonRequest)
    answer = await request.app[SUSPENDING].lift(
        call_of(request, wanted),
        SuspensionId(id_of(request)),
        wanted.reason,
        lambda suspension: Answer.of(SuspensionView.of(suspension)),
    )
    return reply(answer)


STAFF = (Role.OFFICIAL, Role.ADMIN)

ROUTES = (
    Route("POST", "/v1/carriles", add_carril, body=CarrilRequest, returns=CarrilView, status=201, role=STAFF,
          idempotent=True, refusals=(*ONCE, errors.CarrilExists)),
    Route("POST", "/v1/permits", add_permit, body=PermitRequest, returns=PermitView, status=201, role=STAFF,
          idempotent=True, refusals=(*ONCE, errors.PermitExists)),
    Route("POST", "/v1/stables", add_stable, body=StableRequest, returns=StableView, status=201, role=STAFF,
          idempotent=True, refusals=(*ONCE, errors.StableExists)),
    Route("POST", "/v1/stables/{id}/members", add_stable_member, body=MemberRequest, returns=StableView,
          role=STAFF, idempotent=True, refusals=(*ONCE, errors.StableNotFound, errors.MemberOfStable)),
    Route("POST", "/v1/events/{id}/officials", appoint_official, body=AppointmentRequest,
          returns=AppointmentView, role=STAFF, idempotent=True, refusals=(*ONCE, errors.EventNotFound)),
    Route("POST", "/v1/suspensions", suspend, body=SuspensionRequest, returns=SuspensionView, status=201,
          role=STAFF, idempotent=True,
          refusals=(*ONCE, errors.EventNotFound, errors.MarketNotFound, errors.MarketStateConflict,
                    errors.BettingSuspended)),
    Route("POST", "/v1/suspensions/{id}/lift", lift_suspension, body=ReasonRequest, returns=SuspensionView,
          role=STAFF, idempotent=True, refusals=(*ONCE, errors.SuspensionNotFound)),
)  # fmt: skip
