"""A bettor who registers and logs in through the gateway, as an app does."""

from collections.abc import Mapping
from uuid import uuid4

from stdnum.mx import curp

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
