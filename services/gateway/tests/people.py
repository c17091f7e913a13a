"""A bettor who registers, logs in, enrols a device and signs through the gateway, as an app does."""

from base64 import b64decode
from collections.abc import Mapping
from uuid import uuid4

from aiohttp import ClientResponse
from common.signing import RequestSigner, SigningKey
from stdnum.mx import curp
from yarl import URL

from services.gateway.tests.conftest import Client

PASSWORD = "un caballo colorado"
CONSONANTS = "BCDFGJKLMNPQRSTVXZ"


def papers(number: int = 0) -> dict[str, str]:
    stem = f"BOLW900517MSL{CONSONANTS[number]}RT0"
    return {
        "curp": stem + curp.calc_check_digit(stem),
        "full_name": "Wanda Bolaños",
        "email": f"wanda{number}@example.mx",
        "password": PASSWORD,
    }


async def registered(gateway: Client, number: int = 0) -> str:
    """Register; gives the user's id."""
    headers = {"Idempotency-Key": str(uuid4())}
    answer = await gateway.post("/v1/register", json=papers(number), headers=headers)
    assert answer.status == 201, await answer.text()
    user_id: str = (await answer.json())["id"]
    return user_id


async def logged_in(gateway: Client, number: int = 0) -> Mapping[str, str]:
    """Log in; gives the headers of the session."""
    credentials = {"email": papers(number)["email"], "password": PASSWORD}
    answer = await gateway.post("/v1/login", json=credentials)
    assert answer.status == 200, await answer.text()
    return {"Authorization": f"Bearer {(await answer.json())['session']}"}


async def bettor(gateway: Client, number: int = 0) -> Mapping[str, str]:
    await registered(gateway, number)
    return await logged_in(gateway, number)


async def enrolled(gateway: Client, session: Mapping[str, str]) -> RequestSigner:
    """A device of the session's holder, which signs."""
    return RequestSigner(await enrolled_key(gateway, session))


async def enrolled_key(gateway: Client, session: Mapping[str, str]) -> SigningKey:
    """The key of a new device of the session's holder."""
    headers = {**session, "Idempotency-Key": str(uuid4())}
    answer = await gateway.post("/v1/devices", json={"name": "Teléfono"}, headers=headers)
    assert answer.status == 201, await answer.text()
    device = await answer.json()
    return SigningKey(device["id"], b64decode(device["key"]))


async def send_signed(
    gateway: Client,
    signer: RequestSigner,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes = b"{}",
) -> ClientResponse:
    """Sign and send a request."""
    url = URL(str(gateway.make_url("")).rstrip("/") + path, encoded=True)
    signed = signer.headers(method, url, headers, body)
    return await gateway.session.request(method, url, data=body or None, headers=signed)
