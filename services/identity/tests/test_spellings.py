"""One mailbox has many spellings; what is counted is the mailbox."""

import pytest
from identity.domain.people import Email, account_name

from services.identity.tests.conftest import MakeClient
from services.identity.tests.people import Client, Letters, papers, register

SPELLINGS = (
    "wanda0@example.mx",
    "WANDA0@EXAMPLE.MX",
    "wanda0@\uff45xample.mx",  # a wide e
    "wanda0@example\u3002mx",  # an ideographic full stop
    "wanda0@e\u24e7ample.mx",  # an x in a circle
    "wanda0@ex\u212bmple.mx".replace("\u212b", "a"),
    "wanda0@\U0001d41example.mx",  # a bold e
    "wanda0@exampl\u1d49.mx",  # a raised e
    "wanda0@exa\u217fple.mx",  # a Roman thousand
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_all_of_them_are_one_account(spelling: str) -> None:
    assert Email.parse(spelling) == Email.parse(SPELLINGS[0])
    assert account_name(spelling) == account_name(SPELLINGS[0])


def test_what_is_no_address_has_a_name_too() -> None:
    assert account_name("user:1") != account_name("user:2")
    assert account_name(" NOBODY ") == account_name("nobody")


async def test_a_password_is_guessed_at_so_often_however_its_owner_is_spelt(make_client: MakeClient) -> None:
    async with make_client(account_attempts=3) as client:
        await register(client, papers().body)
        found = [
            (await client.post("/v1/login", json={"email": spelling, "password": "not it"})).status
            for spelling in SPELLINGS
        ]
    assert found == [401] * 3 + [429] * (len(SPELLINGS) - 3)


async def test_one_mailbox_is_sent_five_codes_however_it_is_spelt(client: Client, letters: Letters) -> None:
    await register(client, papers().body)
    found = [
        (await client.post("/v1/password/forgot", json={"email": spelling})).status for spelling in SPELLINGS
    ]
    assert found == [202] * 5 + [429] * (len(SPELLINGS) - 5)
    await letters.wait("reset-code", to=papers().email, number=5)
