"""Players' policies, as identity tells them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from aiohttp import web
from common.http import Route, read, reply
from common.wire import AmountText, Body, CurrencyText, View
from pydantic import AwareDatetime, Field, field_validator

from ledger.api.parts import CHARTS, LIMITS
from ledger.domain import refusals
from ledger.domain.limits import LIMIT
from ledger.domain.standings import Cap
from ledger.keys import HOLDER


class CapBody(Body):
    """At most `amount` of a measure in a period."""

    measure: Literal["deposit", "stake", "loss"]
    period: Literal["day", "week", "month"]
    currency: CurrencyText
    amount: AmountText


class PolicyRequest(Body):
    """A player's whole policy. One that is not newer than what holds changes nothing."""

    player: Annotated[UUID, Field(strict=False)]
    version: Annotated[int, Field(ge=1, le=2**63 - 1)]
    blocked_until: Annotated[AwareDatetime | None, Field(strict=False)] = None
    caps: Annotated[list[CapBody], Field(max_length=30)]

    @field_validator("caps")
    @classmethod
    def _each_once(cls, caps: list[CapBody]) -> list[CapBody]:
        if len({(cap.measure, cap.period, cap.currency) for cap in caps}) < len(caps):
            raise ValueError("has the same measure, period and currency twice")
        return caps


class PolicyView(View):
    """The version that holds now."""

    version: int


async def set_player_policy(request: web.Request) -> web.Response:
    """Set a player's limits; they hold for everything posted after this is answered."""
    holder = request[HOLDER]
    holder.require_kind(LIMIT)
    wanted = await read(request, PolicyRequest)
    kept = request.app[CHARTS][holder.ledger].exponents
    for at, cap in enumerate(wanted.caps):
        if cap.currency not in kept:  # nothing would ever come together in it
            raise refusals.WrongCurrency(f"{cap.currency} is not kept here", field=f"caps.{at}.currency")
    caps = [Cap(cap.measure, cap.period, cap.currency, Decimal(cap.amount)) for cap in wanted.caps]
    version = await request.app[LIMITS].set(
        holder.ledger, holder.principal, str(wanted.player), wanted.version, wanted.blocked_until, caps
    )
    return reply(PolicyView(version=version))


ROUTES = (
    Route("PUT", "/v1/player-policies", set_player_policy, body=PolicyRequest, returns=PolicyView, auth="key",
          refusals=(refusals.MayNotLimit, refusals.WrongCurrency, refusals.ReadOnlyKey, refusals.ScopeMissing)),
)  # fmt: skip
