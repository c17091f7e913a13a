"""Identity as betting meets it: what somebody's role is at this moment."""

from typing import Final

from common.client import RemoteProblem, ServiceClient
from common.roles import Role
from pydantic import BaseModel, ConfigDict, Field

from betting.domain.ids import UserId

GONE: Final = 404


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Role = Field(strict=False)


class Staff:
    def __init__(self, identity: ServiceClient) -> None:
        self._identity = identity

    async def role_of(self, user: UserId) -> Role | None:
        """The role of somebody who works here; None for anybody else. Raises RemoteProblem, Unreachable."""
        try:
            return (await self._identity.get(f"/internal/staff/{user}", _Told)).role
        except RemoteProblem as problem:
            if problem.status == GONE:
                return None
            raise
