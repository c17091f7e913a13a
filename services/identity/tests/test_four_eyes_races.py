"""Two who decide at the same moment."""

import asyncio

import pytest
from identity.domain.people import User, UserId
from identity.store.people import PeopleStore

from services.identity.tests.conftest import Appointed
from services.identity.tests.people import Client, Owner
from services.identity.tests.staff import asked, decide, told


async def test_of_two_who_dismiss_each_other_at_once_one_does(
    client: Client, member: Appointed, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each locked themselves and then waited for the other; the database ended that as it liked."""
    first, second, third = [await member(number, "admin") for number in (1, 2, 3)]
    of_first = await asked(client, third, f"/v1/staff/{first.id}/dismissal", {"reason": "se fue"})
    of_second = await asked(client, third, f"/v1/staff/{second.id}/dismissal", {"reason": "se fue"})
    for_update = PeopleStore.user_for_update

    async def slowly(store: PeopleStore, user_id: UserId) -> User | None:
        user = await for_update(store, user_id)
        await asyncio.sleep(0.2)
        return user

    monkeypatch.setattr(PeopleStore, "user_for_update", slowly)
    answers = await asyncio.gather(decide(client, first, of_second), decide(client, second, of_first))
    outcomes = sorted([await told(answer) for answer in answers])
    assert outcomes == [(200, ""), (403, "not-your-act")]
    assert await owner.fetchval("SELECT count(*) FROM users WHERE closed_at IS NOT NULL") == 1
