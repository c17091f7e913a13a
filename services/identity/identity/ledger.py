"""The ledger as identity knows it: it holds people's policies and says so."""

from datetime import datetime
from uuid import UUID

from common.client import RemoteProblem, ServiceClient, Unreachable
from pydantic import BaseModel

from identity.domain.play import PlayPolicy

CURRENCY = "MXN"


class NotAcknowledged(Exception):
    """The ledger did not say that it holds the policy. It will be told again."""


class CapTold(BaseModel):
    measure: str
    period: str
    currency: str
    amount: str


class PolicyTold(BaseModel):
    """What the ledger is told."""

    player: UUID
    version: int
    blocked_until: datetime | None
    caps: list[CapTold]


class PolicyHeld(BaseModel):
    """What it answers."""

    version: int


class LedgerPolicies:
    """Tells the ledger people's policies."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def hold(self, policy: PlayPolicy) -> int:
        """Have a policy hold; gives the version that does now. Raises NotAcknowledged."""
        told = PolicyTold(
            player=policy.user,
            version=policy.version,
            blocked_until=policy.blocked_until,
            caps=[
                CapTold(measure=measure, period=period, currency=CURRENCY, amount=f"{amount:f}")
                for (measure, period), amount in sorted(policy.caps.items())
            ],
        )
        try:
            reply = await self._client.send(
                "PUT",
                "/v1/player-policies",
                body=told.model_dump_json(exclude_none=True).encode(),
                idempotency_key=f"policy:{policy.user}:{policy.version}",
            )
            return reply.read(PolicyHeld).version
        except (RemoteProblem, Unreachable) as error:
            raise NotAcknowledged(str(error)) from error
