"""Web pages of other origins: those we know may call us and see the answers, nobody else's may."""

import pytest
from gateway.settings import Settings
from pydantic import ValidationError

from services.gateway.tests.conftest import Client, MakeGateway
from services.gateway.tests.people import bettor

APP = "https://app.elcarril.mx"
FOREIGN = (
    "https://evil.example",
    "https://app.elcarril.mx.evil.example",
    "https://evil-app.elcarril.mx",
    "http://app.elcarril.mx",
    "https://app.elcarril.mx:8443",
    "HTTPS://APP.ELCARRIL.MX",
    "null",
)
ALLOWS = "Access-Control-Allow-Origin"


def asking(origin: str) -> dict[str, str]:
    """What a browser asks before a page of that origin may send an offer."""
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-digest,content-type,idempotency-key,signature,signature-input",
    }


async def test_a_known_page_may_send_what_a_signed_offer_takes(make_gateway: MakeGateway) -> None:
    async with make_gateway(cors_origins=[APP]) as gateway:
        answer = await gateway.options("/v1/offers", headers=asking(APP))
        assert (answer.status, answer.headers[ALLOWS], answer.headers["Vary"]) == (204, APP, "Origin")
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        wanted = set(asking(APP)["Access-Control-Request-Headers"].split(","))
        assert wanted <= {
            each.strip().lower() for each in answer.headers["Access-Control-Allow-Headers"].split(",")
        }
        # A session travels in a header that a script sets itself: no page acts with a browser's cookies.
        assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_known_page_sees_answers_and_refusals(make_gateway: MakeGateway) -> None:
    async with make_gateway(cors_origins=[APP]) as gateway:
        session = await bettor(gateway)
        for headers, status in (({**session, "Origin": APP}, 200), ({"Origin": APP}, 401)):
            answer = await gateway.get("/v1/wallet", headers=headers)
            assert (answer.status, answer.headers[ALLOWS]) == (status, APP)
            assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", FOREIGN)
async def test_no_other_page_sees_anything(make_gateway: MakeGateway, origin: str) -> None:
    async with make_gateway(cors_origins=[APP]) as gateway:
        before = await gateway.options("/v1/offers", headers=asking(origin))
        answer = await gateway.get("/v1/wallet", headers={"Origin": origin})
        for each in (before, answer):
            assert not [name for name in each.headers if name.startswith("Access-Control-")]
            # What is kept for one page must not be handed to another.
            assert each.headers["Vary"] == "Origin"
        assert before.status == 405


async def test_unless_told_otherwise_no_page_is_known(gateway: Client) -> None:
    answer = await gateway.options("/v1/offers", headers=asking(APP))
    assert (answer.status, answer.headers.get(ALLOWS)) == (405, None)


@pytest.mark.parametrize(
    "origin", [f"{APP}/", f"{APP}/app", "*", "app.elcarril.mx", "https://App.elcarril.mx"]
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings.model_validate({"cors_origins": [origin]})
