"""Hashing that cannot starve the process."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from identity.passwords import HashingBusy, Passwords, breached_passwords


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    made = Passwords(memory_kib=19_456, passes=2, workers=1, queue=1)
    yield made
    made.close()


async def test_only_the_right_password_verifies(passwords: Passwords) -> None:
    stored = await passwords.hash("un caballo colorado")
    assert await passwords.verify(stored, "un caballo colorado")
    assert not await passwords.verify(stored, "un caballo colorado ")
    assert not await passwords.verify(None, "nobody has this password")


async def hash_when_there_is_a_place(passwords: Passwords) -> str:
    while True:
        try:
            return await passwords.hash("one more")
        except HashingBusy:
            await asyncio.sleep(0.01)


async def test_whoever_finds_no_place_is_turned_away_at_once(passwords: Passwords) -> None:
    results = await asyncio.gather(*(passwords.hash(str(n)) for n in range(5)), return_exceptions=True)
    assert [isinstance(each, HashingBusy) for each in results] == [False, False, True, True, True]
    assert await passwords.hash("afterwards there is a place again")


async def test_work_whose_caller_left_still_counts(passwords: Passwords) -> None:
    callers = [asyncio.create_task(passwords.hash(str(n))) for n in range(2)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    with pytest.raises(HashingBusy):
        await passwords.hash("one more")
    async with asyncio.timeout(10):
        assert await hash_when_there_is_a_place(passwords)


async def test_the_loop_goes_on_while_hashing(passwords: Passwords) -> None:
    hashing = asyncio.create_task(passwords.hash("slow"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 3


def test_what_attackers_try_first_is_known() -> None:
    assert {"password1", "12345678", "qwertyuiop"} <= breached_passwords()
    assert "un caballo colorado" not in breached_passwords()
