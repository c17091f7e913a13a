"""What was revoked elsewhere is forgotten at once; while that cannot be heard, nothing is kept."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast
from uuid import UUID, uuid4

from aiohttp import web
from common.amqp import Link, Message, Publisher
from common.client import ServiceClient
from common.signing import RequestSigner, SignatureVerifier, SigningKey
from common.testing import stack
from contracts.envelope import envelope
from contracts.identity import DeviceRevoked, RevocationReason, SessionRevoked
from contracts.topology import EVENTS
from contracts.wire import Event
from gateway.devices import Devices, KeyView

from services.gateway.tests.conftest import Behind, Client, MakeGateway
from services.gateway.tests.people import bettor, enrolled, enrolled_key, send_signed

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


async def test_a_device_is_known_by_one_spelling_alone(gateway: Client) -> None:
    """By another its key would be kept under a name that no revocation drops."""
    session = {**await bettor(gateway), "Content-Type": "application/json", "Idempotency-Key": "k"}
    key = await enrolled_key(gateway, session)
    for id in (key.id.upper(), key.id.replace("-", ""), f"{{{key.id}}}", "nothing"):
        other = RequestSigner(SigningKey(id, key.secret))
        answer = await send_signed(gateway, other, "POST", "/v1/offers", session)
        assert (answer.status, (await answer.json())["type"]) == (403, "/problems/device-not-yours")
    assert (await send_signed(gateway, RequestSigner(key), "POST", "/v1/offers", session)).status == 200


async def test_a_key_that_comes_after_its_revocation_is_not_kept() -> None:
    """Identity has answered before the device was revoked; the revocation is heard first."""
    device, asked = uuid4(), 0

    class Identity:
        async def post(self, _path: str, _body: object, view: type[KeyView]) -> KeyView:
            nonlocal asked
            asked += 1
            devices.forget(device)
            return view(device=device, key=b64encode(b"k" * 32).decode())

    class Anything:
        async def verify(self, *_: object, **__: object) -> None: ...

    devices = Devices(
        cast(ServiceClient, Identity()), cast(SignatureVerifier, Anything()), keep_seconds=30, capacity=9
    )
    for _ in range(2):
        await devices.verify(cast(web.Request, None), "secret", str(device), b"")
    assert asked == 2


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
