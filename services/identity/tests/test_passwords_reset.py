"""Forgotten passwords, changed ones, and what nobody learns from them."""

import asyncio
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientResponse
from argon2 import PasswordHasher, extract_parameters
from identity.domain.people import User
from identity.passwords import Passwords
from identity.sessions import Lifetime, Origin, Sessions, StartedSession

from services.identity.tests.conftest import MakeClient
from services.identity.tests.people import PASSWORD, Client, Letters, Owner, as_user, login, papers, register

NEW = "otra frase muy distinta"


async def forgot(client: Client, email: str) -> ClientResponse:
    return await client.post("/v1/password/forgot", json={"email": email})


async def reset(client: Client, email: str, code: str, password: str = NEW) -> ClientResponse:
    return await client.post("/v1/password/reset", json={"email": email, "code": code, "password": password})


async def slug(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, str((await answer.json())["type"]).removeprefix("/problems/")


async def opens(client: Client, session: str) -> bool:
    answer = await client.post("/internal/token", json={"session": session, "audience": "betting"})
    return answer.status == 200


async def test_a_forgotten_password_is_set_anew_and_every_session_ends(
    client: Client, letters: Letters, owner: Owner
) -> None:
    await register(client, papers().body)
    sessions = [await login(client, papers()) for _ in range(2)]
    assert (await forgot(client, papers().email)).status == 202
    code = await letters.code("reset-code", to=papers().email)
    assert (await reset(client, papers().email, code)).status == 204
    assert [await opens(client, session) for session in sessions] == [False, False]
    old = await client.post("/v1/login", json={"email": papers().email, "password": PASSWORD})
    assert old.status == 401
    assert (await client.post("/v1/login", json={"email": papers().email, "password": NEW})).status == 200
    assert await slug(await reset(client, papers().email, code)) == (400, "wrong-code")
    assert await letters.wait("password-changed", to=papers().email)
    assert (
        await owner.fetchval("SELECT count(*) FROM outbox WHERE routing_key = 'identity.password.changed.v1'")
        == 1
    )


async def test_who_was_proving_the_old_password_while_it_was_reset_gets_no_session(
    client: Client, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief who tries the old password again and again has one attempt under way at any moment."""
    await register(client, papers().body)
    await forgot(client, papers().email)
    code = await letters.code("reset-code", to=papers().email)
    start = Sessions.start

    async def start_late(
        sessions: Sessions, user: User, lifetime: Lifetime, origin: Origin
    ) -> StartedSession:
        monkeypatch.undo()
        assert (await reset(client, papers().email, code)).status == 204
        return await start(sessions, user, lifetime, origin)

    monkeypatch.setattr(Sessions, "start", start_late)
    late = await client.post("/v1/login", json={"email": papers().email, "password": PASSWORD})
    assert await slug(late) == (401, "bad-credentials")
    proof = {"email": papers().email, "password": NEW}
    session = (await (await client.post("/v1/login", json=proof)).json())["session"]
    mine = await (await client.get("/v1/sessions", headers=await as_user(client, session))).json()
    assert len(mine["items"]) == 1


async def test_a_code_is_guessed_at_five_times(client: Client, letters: Letters) -> None:
    await register(client, papers().body)
    await forgot(client, papers().email)
    code = await letters.code("reset-code", to=papers().email)
    wrong = f"{(int(code) + 1) % 10**8:08d}"
    for _ in range(5):
        assert await slug(await reset(client, papers().email, wrong)) == (400, "wrong-code")
    assert await slug(await reset(client, papers().email, code)) == (400, "wrong-code")


async def test_only_the_newest_code_counts_and_only_in_time(
    client: Client, letters: Letters, owner: Owner
) -> None:
    await register(client, papers().body)
    codes = []
    for number in (1, 2):
        await forgot(client, papers().email)
        codes.append(await letters.code("reset-code", to=papers().email, number=number))
    assert await slug(await reset(client, papers().email, codes[0])) == (400, "wrong-code")
    await owner.execute("UPDATE verification SET expires_at = created_at + INTERVAL '1 millisecond'")
    assert await slug(await reset(client, papers().email, codes[1])) == (400, "wrong-code")


async def test_one_code_sets_one_password_however_many_try_at_once(
    make_client: MakeClient, letters: Letters
) -> None:
    async with make_client(account_attempts=50) as client:
        await register(client, papers().body)
        await forgot(client, papers().email)
        code = await letters.code("reset-code", to=papers().email)
        answers = await asyncio.gather(
            *(reset(client, papers().email, code, f"{NEW} {number}") for number in range(8))
        )
    assert sorted(answer.status for answer in answers) == [204] + [400] * 7


async def test_a_weak_password_does_not_use_the_code_up(client: Client, letters: Letters) -> None:
    await register(client, papers().body)
    await forgot(client, papers().email)
    code = await letters.code("reset-code", to=papers().email)
    assert await slug(await reset(client, papers().email, code, "password1")) == (400, "weak-password")
    assert (await reset(client, papers().email, code)).status == 204


async def test_who_has_an_account_is_not_told_and_nothing_is_sent(
    client: Client, letters: Letters, owner: Owner
) -> None:
    await register(client, papers().body)
    answers = [await forgot(client, email) for email in (papers().email, "nobody@example.mx", "nonsense")]
    assert [(answer.status, await answer.read()) for answer in answers] == [(202, b"")] * 3
    assert await slug(await reset(client, "nobody@example.mx", "12345678")) == await slug(
        await reset(client, papers().email, "12345678")
    )
    await letters.wait("reset-code", to=papers().email)
    assert {each["to"] for each in letters.all()} == {papers().email}
    assert await owner.fetchval("SELECT count(*) FROM verification") == 3
    assert await owner.fetchval("SELECT count(*) FROM outbound_message WHERE recipient IS NULL") == 2


async def test_a_wrong_code_costs_the_same_whether_somebody_has_the_address_or_not(
    client: Client, owner: Owner
) -> None:
    """Counting it, which waits for the disk, was done for those who exist alone: 2 ms that told who does."""
    await register(client, papers().body)
    for email in (papers().email, "nobody@example.mx"):
        assert (await forgot(client, email)).status == 202
        for _ in range(3):
            assert await slug(await reset(client, email, "12345678")) == (400, "wrong-code")
    counted = await owner.fetch(
        "SELECT user_id IS NULL AS nobody, attempts FROM verification ORDER BY nobody"
    )
    assert [tuple(each) for each in counted] == [(False, 3), (True, 3)]


async def test_a_code_of_an_address_is_of_who_had_it_when_it_was_asked_for(
    client: Client, letters: Letters
) -> None:
    """Codes are found by address. One that was sent to who had it resets nothing of who has it now."""
    for number in (0, 1):
        await register(client, papers(number).body)
    await forgot(client, papers().email)
    code = await letters.code("reset-code", to=papers().email)
    for number, email in ((0, "another@example.mx"), (1, papers().email)):
        me = await as_user(client, await login(client, papers(number)))
        assert (await client.patch("/v1/me", json={"email": email}, headers=me)).status == 200
    assert await slug(await reset(client, papers().email, code)) == (400, "wrong-code")
    assert await slug(await reset(client, "another@example.mx", code)) == (400, "wrong-code")


async def test_codes_to_one_address_are_few(client: Client) -> None:
    for email in (papers().email, "nobody@example.mx"):
        statuses = [(await forgot(client, email)).status for _ in range(7)]
        assert statuses == [202] * 5 + [429] * 2


async def test_changing_ends_the_other_sessions_and_renews_this_one(client: Client) -> None:
    await register(client, papers().body)
    mine, other = await login(client, papers()), await login(client, papers())
    answer = await client.post("/v1/password", json={"password": NEW}, headers=await as_user(client, mine))
    renewed = (await answer.json())["session"]
    assert [await opens(client, session) for session in (mine, other, renewed)] == [False, False, True]


@dataclass
class Work:
    """What argon2 was asked to do: the parameters of every hash that a password was held against, and hashes made."""

    verified: list[str] = field(default_factory=list)
    made: int = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """The real hasher, watched."""
    seen, verify, make = Work(), PasswordHasher.verify, PasswordHasher.hash

    def watched(self: PasswordHasher, stored: str, password: str) -> bool:
        seen.verified.append(str(extract_parameters(stored)))
        return verify(self, stored, password)

    def made(self: PasswordHasher, password: str) -> str:
        seen.made += 1
        return make(self, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    monkeypatch.setattr(PasswordHasher, "hash", made)
    return seen


async def test_log_in_does_the_same_work_whether_the_account_exists_or_not(
    client: Client, work: Work
) -> None:
    """The time of a log-in is that of its hash, so an unknown address must cost the same one, not none."""
    await register(client, papers().body)
    told = []
    for email in (papers().email, "nobody@example.mx", "no address at all"):
        work.verified.clear()
        work.made = 0
        answer = await client.post("/v1/login", json={"email": email, "password": "not the password"})
        told.append((*await slug(answer), tuple(work.verified), work.made))
    assert len(set(told)) == 1
    ((status, _, verified, made),) = set(told)
    assert (status, len(verified), made) == (401, 1, 0)


async def test_a_code_that_runs_out_while_the_password_is_hashed_is_refused(
    client: Client, letters: Letters, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database refused it, and nobody had put that into words: 500."""
    await register(client, papers().body)
    await forgot(client, papers().email)
    code = await letters.code("reset-code", to=papers().email)
    make = Passwords.hash

    async def slowly(passwords: Passwords, password: str) -> str:
        await owner.execute("UPDATE verification SET expires_at = created_at + INTERVAL '1 millisecond'")
        return await make(passwords, password)

    monkeypatch.setattr(Passwords, "hash", slowly)
    assert await slug(await reset(client, papers().email, code)) == (400, "wrong-code")
    old = await client.post("/v1/login", json={"email": papers().email, "password": PASSWORD})
    assert old.status == 200
