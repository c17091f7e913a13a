"""What was revoked elsewhere is forgotten at once; while that cannot be heard, nothing is kept."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

from common.amqp import Link, Message, Publisher
from common.testing import stack
from contracts.envelope import envelope
from contracts.identity import DeviceRevoked, RevocationReason, SessionRevoked
from contracts.topology import EVENTS
from contracts.wire import Event

from services.gateway.tests.conftest import Behind, Client, MakeGateway
from services.gateway.tests.people import bettor, enrolled, send_signed

NOWHERE = "amqp://nobody:x@127.0.0.1:1/elcarril"


async def notify(message: Event, about: str) -> None:
    """As identity's relay tells it."""
    link = Link(stack().rabbitmq.url("relay-identity"), name="test")
    publisher = Publisher(link)
    notice = envelope(message, id=uuid4(), subject=about, version=2, time=datetime.now(UTC))
    await publisher.publish(Message(notice.id, EVENTS, notice.type, notice.model_dump_json().encode()))
    await publisher.close()
    await link.close()


def session_revoked(sid: UUID, user: UUID) -> SessionRevoked:
    reason, now = RevocationReason.REVOKED, datetime.now(UTC)
    return SessionRevoked(session_id=sid, user_id=user, reason=reason, revoked_at=now)


async def session_id(gateway: Client, session: Mapping[str, str]) -> UUID:
    listed = (await (await gateway.get("/v1/sessions", headers=session)).json())["items"]
    return UUID(next(each["id"] for each in listed if each["current"]))


async def becomes(status: int, gateway: Client, path: str, session: Mapping[str, str]) -> None:
    async with asyncio.timeout(5):
        while (await gateway.get(path, headers=session)).status != status:
            await asyncio.sleep(0.02)


async def test_what_is_kept_is_dropped_when_its_session_is_revoked(gateway: Client, behind: Behind) -> None:
    session = await bettor(gateway)
    sid = await session_id(gateway, session)
    user = UUID((await (await gateway.get("/v1/me", headers=session)).json())["id"])
    asked = behind.asked_identity["/internal/token"]
    assert (await gateway.get("/v1/me", headers=session)).status == 200
    assert behind.asked_identity["/internal/token"] == asked
    await notify(session_revoked(sid, user), f"sessions/{sid}")
    async with asyncio.timeout(5):
        while behind.asked_identity["/internal/token"] == asked:
            assert (await gateway.get("/v1/me", headers=session)).status == 200
            await asyncio.sleep(0.02)


async def test_a_device_revoked_elsewhere_signs_nothing_any_more(gateway: Client) -> None:
    session = {**await bettor(gateway), "Content-Type": "application/json", "Idempotency-Key": "k"}
    signer = await enrolled(gateway, session)
    assert (await send_signed(gateway, signer, "POST", "/v1/offers", session)).status == 200
    device = UUID((await (await gateway.get("/v1/devices", headers=session)).json())["items"][0]["id"])
    assert (await gateway.delete(f"/v1/devices/{device}", headers=session)).status == 204
    user = UUID((await (await gateway.get("/v1/me", headers=session)).json())["id"])
    await notify(
        DeviceRevoked(device_id=device, user_id=user, revoked_at=datetime.now(UTC)), f"devices/{device}"
    )
    async with asyncio.timeout(5):
        while (await send_signed(gateway, signer, "POST", "/v1/offers", session)).status != 403:
            await asyncio.sleep(0.02)


async def test_who_cannot_hear_keeps_nothing(make_gateway: MakeGateway, behind: Behind) -> None:
    async with make_gateway(amqp_url=NOWHERE) as deaf:
        session = await bettor(deaf)
        before = behind.asked_identity["/internal/token"]
        for _ in range(3):
            assert (await deaf.get("/v1/wallet", headers=session)).status == 200
        assert behind.asked_identity["/internal/token"] == before + 3
        ready = await (await deaf.get("/readyz")).json()
        assert (ready["status"], ready["revocations"]) == ("ready", {"hearing": False})


async def test_every_replica_hears(make_gateway: MakeGateway) -> None:
    async with make_gateway() as one, make_gateway() as other:
        session = await bettor(one)
        for gateway in (one, other):
            assert (await gateway.get("/v1/wallet", headers=session)).status == 200
        sid = await session_id(one, session)
        user = UUID((await (await one.get("/v1/me", headers=session)).json())["id"])
        assert (await one.delete("/v1/sessions", headers=session)).status == 200
        assert (await one.get("/v1/wallet", headers=session)).status == 401
        assert (await other.get("/v1/wallet", headers=session)).status == 200
        await notify(session_revoked(sid, user), f"sessions/{sid}")
        await becomes(401, other, "/v1/wallet", session)
