"""What is turned away: browsing first when there is too much, and whatever goes to a service that broke off."""

import asyncio
import contextlib

import pytest
from common.breaker import TRIP_AFTER
from gateway.domain import Priority, Service
from gateway.shedding import Overloaded, Shedder

from services.gateway.tests.conftest import Behind, Client
from services.gateway.tests.people import bettor


def test_browsing_is_shed_first_and_money_last() -> None:
    shedder = Shedder(10)
    with contextlib.ExitStack() as held:
        for _ in range(6):
            held.enter_context(shedder.place(Priority.BROWSE))
        with pytest.raises(Overloaded), shedder.place(Priority.BROWSE):
            pass
        for _ in range(2):
            held.enter_context(shedder.place(Priority.ENTER))
        with pytest.raises(Overloaded), shedder.place(Priority.ENTER):
            pass
        for _ in range(2):
            held.enter_context(shedder.place(Priority.MONEY))
        with pytest.raises(Overloaded), shedder.place(Priority.MONEY):
            pass
    with shedder.place(Priority.BROWSE):
        pass


async def test_a_service_that_breaks_off_is_left_alone_and_the_others_are_not(
    gateway: Client, behind: Behind
) -> None:
    session = await bettor(gateway)
    betting = behind.upstreams[Service.BETTING]
    betting.drop = True
    answers = [await gateway.get("/v1/bets", headers=session) for _ in range(TRIP_AFTER)]
    assert {answer.status for answer in answers} == {502}
    asked = betting.requests.total()
    resting = await gateway.get("/v1/bets", headers=session)
    assert (resting.status, (await resting.json())["type"]) == (503, "/problems/upstream-resting")
    assert int(resting.headers["Retry-After"]) >= 1
    assert betting.requests.total() == asked
    assert (await gateway.get("/v1/wallet", headers=session)).status == 200
    betting.drop = False
    async with asyncio.timeout(10):
        while (await gateway.get("/v1/bets", headers=session)).status != 200:
            await asyncio.sleep(0.1)
