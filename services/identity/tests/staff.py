"""People of the staff, and how one asks for what another decides."""

from dataclasses import dataclass
from uuid import uuid4

from aiohttp import ClientResponse

from services.identity.tests.people import Client

REASON = {"reason": "trabaja bien"}


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody of the staff, logged in."""

    id: str
    headers: dict[str, str]
    session: str

    def keyed(self) -> dict[str, str]:
        return {**self.headers, "Idempotency-Key": str(uuid4())}


async def told(answer: ClientResponse) -> tuple[int, str]:
    """Its status and, of a refusal, the kind."""
    return answer.status, str((await answer.json()).get("type", "")).removeprefix("/problems/")


async def asked(client: Client, who: Member, path: str, body: dict[str, object]) -> str:
    """The id of a request that somebody makes."""
    answer = await client.post(path, json=body, headers=who.keyed())
    assert answer.status == 202, await answer.text()
    approval: str = (await answer.json())["id"]
    return approval


async def decide(client: Client, who: Member, approval: str, verb: str = "approve") -> ClientResponse:
    return await client.post(f"/v1/approvals/{approval}/{verb}", headers=who.headers)
