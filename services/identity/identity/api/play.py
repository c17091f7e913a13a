"""Responsible gaming: one's limits, and excluding oneself."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, Body, Role, Route, View, read, reply
from common.idempotency import fingerprint
from common.wire import AmountText
from pydantic import Field

from identity.api.parts import PLAY, caller
from identity.domain.people import AccountClosed, SessionEnded
from identity.domain.play import (
    FOR_GOOD,
    AlreadyExcluded,
    Exclusion,
    InvalidLimit,
    Measure,
    Period,
    PlayLimit,
    PlayPolicy,
)


class LimitRequest(Body):
    """`amount` in pesos; of a session in whole minutes. Null takes the limit away, after a day to think."""

    measure: Annotated[Measure, Field(strict=False)]
    period: Annotated[Period, Field(strict=False)]
    amount: AmountText | None


class ExclusionRequest(Body):
    length: Annotated[Exclusion, Field(strict=False)]


class LimitView(View):
    """`amount` holds now; from `pending_from` on `pending` does (null: none)."""

    measure: Measure
    period: Period
    unit: Literal["MXN", "minutes"]
    amount: str | None
    set_at: datetime
    pending: str | None
    pending_from: datetime | None

    @classmethod
    def of(cls, measure: Measure, period: Period, limit: PlayLimit) -> "LimitView":
        return cls(
            measure=measure,
            period=period,
            unit="minutes" if measure is Measure.SESSION else "MXN",
            amount=_text(measure, limit.amount),
            set_at=limit.set_at,
            pending=_text(measure, limit.pending),
            pending_from=limit.pending_from,
        )


class PolicyView(View):
    """`confirmed` once the ledger holds the newest change: from then on nothing beyond it can be booked."""

    version: int
    confirmed: bool
    excluded_until: datetime | None
    excluded_for_good: bool
    limits: tuple[LimitView, ...]

    @classmethod
    def of(cls, policy: PlayPolicy) -> "PolicyView":
        return cls(
            version=policy.version,
            confirmed=policy.confirmed,
            excluded_until=policy.blocked_until,
            excluded_for_good=policy.blocked_until == FOR_GOOD,
            limits=tuple(
                LimitView.of(measure, period, limit)
                for (measure, period), limit in sorted(policy.limits.items())
            ),
        )


async def play_limits(request: web.Request) -> web.Response:
    """One's limits."""
    return reply(PolicyView.of(await request.app[PLAY].policy(caller(request))))


async def set_play_limit(request: web.Request) -> web.Response:
    """Set a limit to what one deposits, stakes or loses in a day, a week or a month, or to how long a session lasts.

    A smaller one holds at once, a larger one after 24 hours. 200 when the ledger has acknowledged it; 202 when it
    has not yet, in which case it is told until it does, and this page says so. The same Idempotency-Key again changes
    nothing and shows what holds now.
    """
    wanted = await read(request, LimitRequest)
    amount = None if wanted.amount is None else Decimal(wanted.amount)
    policy = await request.app[PLAY].set_limit(
        caller(request),
        (wanted.measure, wanted.period),
        amount,
        key=request[IDEMPOTENCY_KEY],
        fingerprint=fingerprint("PUT /v1/play/limits", wanted),
    )
    return reply(PolicyView.of(policy), status=200 if policy.confirmed else 202)


async def exclude_oneself(request: web.Request) -> web.Response:
    """Neither stake nor deposit for a while. It cannot be taken back; what is yours you may withdraw."""
    wanted = await read(request, ExclusionRequest)
    policy = await request.app[PLAY].exclude(caller(request), wanted.length)
    return reply(PolicyView.of(policy), status=200 if policy.confirmed else 202)


def _text(measure: Measure, amount: Decimal | None) -> str | None:
    if amount is None:
        return None
    return f"{amount:.0f}" if measure is Measure.SESSION else f"{amount:.2f}"


ROUTES = (
    Route("GET", "/v1/play/limits", play_limits, returns=PolicyView, role=Role.BETTOR),
    Route("PUT", "/v1/play/limits", set_play_limit, body=LimitRequest, returns=PolicyView, role=Role.BETTOR,
          step_up=True, idempotent=True, refusals=(InvalidLimit, AccountClosed, SessionEnded)),
    Route("POST", "/v1/play/exclusion", exclude_oneself, body=ExclusionRequest, returns=PolicyView,
          role=Role.BETTOR, refusals=(AlreadyExcluded, AccountClosed, SessionEnded)),
)  # fmt: skip
