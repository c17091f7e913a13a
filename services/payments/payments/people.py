"""Identity as payments meets it: who a player is, by documents that were verified, since when their password is
what it is, and what they allow themselves; and which cashiers still work here."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from common.client import RemoteProblem, ServiceClient
from common.roles import Role
from common.staff import standing
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from payments.domain.holders import Holder
from payments.domain.play import Allowance, Period

GONE: Final = frozenset({401, 404})


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    full_name: str
    curp: str | None = None
    rfc: str | None = None
    password_changed_at: AwareDatetime | None = None
    blocked_until: AwareDatetime | None = None
    deposit_limits: Mapping[Period, Decimal] = Field(default_factory=dict)


class People:
    """Each method raises `RemoteProblem` or `Unreachable`."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def holder(self, player: UUID) -> Holder | None:
        """Whom identity knows; None when it knows nobody by that id."""
        told = await self._ask(player)
        return None if told is None else Holder(told.full_name, told.curp, told.rfc)

    async def password_changed_at(self, player: UUID) -> datetime | None:
        """When the player's password was changed or reset last, if it ever was."""
        told = await self._ask(player)
        return None if told is None else told.password_changed_at

    async def allowance(self, player: UUID) -> Allowance:
        """What the player may deposit. Who is unknown to identity has set no limits."""
        told = await self._ask(player)
        return Allowance() if told is None else Allowance(told.blocked_until, told.deposit_limits)

    async def cashier(self, person: str) -> int | None:
        """The number of what a cashier's sessions stand on; None for who is no cashier, or none any more."""
        told = await standing(self._client, person)
        return told.proof if told is not None and told.role is Role.CASHIER else None

    async def _ask(self, player: UUID) -> _Told | None:
        try:
            return await self._client.get(f"/internal/holders/{player}", _Told)
        except RemoteProblem as problem:
            if problem.status in GONE:
                return None
            raise
