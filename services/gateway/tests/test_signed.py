"""Money calls are signed by a device of the session's own person, once, and to the letter."""

from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiohttp import ClientResponse
from common.signing import WINDOW, RequestSigner, SigningKey
from gateway.domain import Service
from yarl import URL

from examples.device_client import signed as sign
from services.gateway.tests.conftest import Behind, Client, MakeGateway
from services.gateway.tests.people import bettor, enrolled, send_signed

PATH = "/v1/offers"
OFFER = b'{"market_id":"m","stake":"100.00"}'
JSON = {"Content-Type": "application/json"}


def outcome(status: int, told: Mapping[str, object]) -> tuple[int, str]:
    return status, str(told.get("type", "")).removeprefix("/problems/")


async def told(answer: ClientResponse) -> tuple[int, str]:
    return outcome(answer.status, await answer.json())


@pytest.fixture
async def session(gateway: Client) -> Mapping[str, str]:
    return {**await bettor(gateway), **JSON, "Idempotency-Key": "k-1"}


@pytest.fixture
async def signer(gateway: Client, session: Mapping[str, str]) -> RequestSigner:
    return await enrolled(gateway, session)


def signed(gateway: Client, signer: RequestSigner, session: Mapping[str, str], body: bytes) -> dict[str, str]:
    return signer.headers("POST", URL(str(gateway.make_url(PATH))), session, body)


async def test_a_signed_offer_passes(
    gateway: Client, behind: Behind, session: Mapping[str, str], signer: RequestSigner
) -> None:
    answer = await send_signed(gateway, signer, "POST", PATH, session, OFFER)
    assert answer.status == 200, await answer.text()
    assert (await answer.json())["body"] == OFFER.decode()
    assert behind.asked_identity["/internal/device-key"] == 1
    assert (await send_signed(gateway, signer, "POST", PATH, session, OFFER)).status == 200
    assert behind.asked_identity["/internal/device-key"] == 1


async def test_the_service_is_told_which_device_has_signed_and_nothing_that_the_client_says(
    gateway: Client, session: Mapping[str, str], signer: RequestSigner
) -> None:
    lying = {**session, "X-Signed-By-Device": "6f1c3f0e-5d3c-4c5e-9f0a-7d2f4f1f0b11"}
    answer = await send_signed(gateway, signer, "POST", "/v1/withdrawals", lying, b"{}")
    assert answer.status == 200, await answer.text()
    seen = {name.lower(): value for name, value in (await answer.json())["headers"].items()}
    claimed = signer.headers("POST", URL("http://x/"), {}, b"")["Signature-Input"]
    assert f'keyid="{seen["x-signed-by-device"]}"' in claimed
    unsigned = await gateway.post("/v1/deposits", data=b"{}", headers=lying)
    assert "x-signed-by-device" not in {name.lower() for name in (await unsigned.json())["headers"]}


async def test_every_money_call_but_a_deposit_needs_a_signature(
    gateway: Client, behind: Behind, session: Mapping[str, str]
) -> None:
    for method, path in (("POST", PATH), ("DELETE", "/v1/offers/7"), ("POST", "/v1/withdrawals")):
        answer = await gateway.request(method, path, headers=session)
        assert await told(answer) == (401, "signature-missing")
    assert (await gateway.post("/v1/deposits", data=b"{}", headers=session)).status == 200
    assert not behind.upstreams[Service.BETTING].requests


async def test_whatever_was_changed_is_refused(
    gateway: Client, behind: Behind, session: Mapping[str, str], signer: RequestSigner
) -> None:
    headers = signed(gateway, signer, session, OFFER)
    stake = OFFER.replace(b"100.00", b"900.00")
    changed: list[tuple[str, str, Mapping[str, str], bytes]] = [
        ("POST", PATH, headers, stake),
        ("POST", PATH, headers, b""),
        ("POST", f"{PATH}?stake=900.00", headers, OFFER),
        ("POST", "/v1/withdrawals", headers, OFFER),
        ("DELETE", f"{PATH}/7", headers, OFFER),
        ("POST", PATH, {**headers, "Idempotency-Key": "k-2"}, OFFER),
        (
            "POST",
            PATH,
            {**headers, "Content-Digest": signed(gateway, signer, session, stake)["Content-Digest"]},
            stake,
        ),
        ("POST", PATH, {**headers, "Signature": "sig1=:AAAA:"}, OFFER),
        ("POST", PATH, {**headers, "Signature": "nonsense"}, OFFER),
        (
            "POST",
            PATH,
            {**headers, "Signature-Input": headers["Signature-Input"].replace('"@path" ', "")},
            OFFER,
        ),
    ]
    for method, path, sent, body in changed:
        answer = await gateway.request(method, path, data=body, headers=sent)
        assert await told(answer) == (401, "signature-invalid"), (method, path, body)
    assert not behind.upstreams[Service.BETTING].requests
    assert (await gateway.post(PATH, data=OFFER, headers=headers)).status == 200


async def test_a_signature_is_good_once(
    gateway: Client, behind: Behind, session: Mapping[str, str], signer: RequestSigner
) -> None:
    headers = signed(gateway, signer, session, OFFER)
    assert (await gateway.post(PATH, data=OFFER, headers=headers)).status == 200
    assert await told(await gateway.post(PATH, data=OFFER, headers=headers)) == (401, "signature-replayed")
    assert behind.upstreams[Service.BETTING].requests.total() == 1


@pytest.mark.parametrize("away", [-WINDOW - timedelta(seconds=2), WINDOW + timedelta(seconds=2)])
async def test_an_old_signature_and_one_of_the_future_are_refused(
    gateway: Client, session: Mapping[str, str], away: timedelta
) -> None:
    enrolment = {**session, "Idempotency-Key": str(uuid4())}
    device = await (await gateway.post("/v1/devices", json={"name": "x"}, headers=enrolment)).json()
    key = SigningKey(device["id"], b64decode(device["key"]))
    late = RequestSigner(key, now=lambda: datetime.now(UTC) + away)
    assert await told(await send_signed(gateway, late, "POST", PATH, session, OFFER)) == (
        401,
        "signature-expired",
    )


async def test_another_persons_device_and_a_revoked_one_are_refused(
    make_gateway: MakeGateway, behind: Behind
) -> None:
    async with make_gateway(token_keep_seconds=0.05) as gateway:
        mine, theirs = [{**await bettor(gateway, number), **JSON} for number in range(2)]
        device = await enrolled(gateway, theirs)
        assert await told(await send_signed(gateway, device, "POST", PATH, mine, OFFER)) == (
            403,
            "device-not-yours",
        )
        stranger = RequestSigner(SigningKey(str(uuid4()), b"k" * 32))
        assert await told(await send_signed(gateway, stranger, "POST", PATH, mine, OFFER)) == (
            403,
            "device-not-yours",
        )
        listed = await (await gateway.get("/v1/devices", headers=theirs)).json()
        await gateway.delete(f"/v1/devices/{listed['items'][0]['id']}", headers=theirs)
        assert await told(await send_signed(gateway, device, "POST", PATH, theirs, OFFER)) == (
            403,
            "device-revoked",
        )
    assert not behind.upstreams[Service.BETTING].requests


async def test_without_identity_no_signature_is_taken_on_trust(
    make_gateway: MakeGateway, behind: Behind
) -> None:
    async with make_gateway() as gateway:
        session = {**await bettor(gateway), **JSON}
        signer = await enrolled(gateway, session)
        assert (await gateway.get("/v1/offers", headers=session)).status == 200  # keeps a token
        await behind.identity.close()
        status, slug = await told(await send_signed(gateway, signer, "POST", PATH, session, OFFER))
        assert (status, slug) == (503, "devices-unavailable")


async def test_the_reference_client_signs_as_we_verify(gateway: Client, session: Mapping[str, str]) -> None:
    """It shares no code with us: two readings of the standard that agree."""
    enrolment = {**session, "Idempotency-Key": str(uuid4())}
    device = await (await gateway.post("/v1/devices", json={"name": "x"}, headers=enrolment)).json()
    key = {"key_id": device["id"], "key": b64decode(device["key"])}
    for method, path, body in (
        ("POST", PATH, OFFER),
        ("POST", f"{PATH}?a=1&b=c", OFFER),
        ("DELETE", f"{PATH}/7", b""),
    ):
        headers = sign(method, path, dict(session), body, **key)
        url = URL(str(gateway.make_url("")).rstrip("/") + path, encoded=True)
        answer = await gateway.session.request(method, url, data=body or None, headers=headers)
        assert answer.status == 200, await answer.text()
        again = await gateway.session.request(method, url, data=body or None, headers=headers)
        assert await told(again) == (401, "signature-replayed")
