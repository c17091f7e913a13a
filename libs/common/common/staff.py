"""Who works here, by identity's word at this moment: decisions that take two people ask it."""

from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from common.client import RemoteProblem, ServiceClient
from common.roles import Role

GONE: Final = 404


class Standing(BaseModel):
    """What an employee is, and the number of what their sessions stand on (ADR 0092)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Role
    proof: int


async def standing(identity: ServiceClient, person: UUID | str) -> Standing | None:
    """Of somebody who works here; None for anybody else. Raises RemoteProblem, Unreachable."""
    try:
        return await identity.get(f"/internal/staff/{person}", Standing)
    except RemoteProblem as problem:
        if problem.status == GONE:
            return None
        raise
