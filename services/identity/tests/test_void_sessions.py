"""A session stands on a password, a second factor, a role and an open account: on others it is void."""

from uuid import UUID

import asyncpg
import pytest
from common.testing import Database
from contracts.identity import RevocationReason
from identity.domain.people import UserId
from identity.service.access import Access
from identity.sessions import Sessions, StartedSession

from services.identity.tests.conftest import Appointed
from services.identity.tests.people import Client, Letters, as_user, login, papers, register
from services.identity.tests.staff import REASON, asked, decide

NEW = "otra frase muy distinta"


async def opens(client: Client, session: str) -> bool:
    answer = await client.post("/internal/token", json={"session": session, "audience": "betting"})
    return answer.status == 200


async def ends_nothing(_: Sessions, __: UserId, *, but: UUID | None = None) -> tuple[UUID, ...]:  # noqa: ARG001 - its signature
    """As if the process died before it ended anybody's sessions."""
    return ()


@pytest.fixture
def nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sessions, "end_all", ends_nothing)


@pytest.mark.usefixtures("nothing_ends")
async def test_a_session_on_what_has_changed_opens_nothing_though_nothing_has_ended_it(
    client: Client, member: Appointed
) -> None:
    first, second = await member(1, "admin"), await member(2, "admin")
    acts = {"role": {"role": "auditor", **REASON}, "dismissal": REASON, "second-factor": REASON}
    for number, (act, body) in enumerate(acts.items(), 3):
        who = await member(number, "cashier")
        assert await opens(client, who.session), act
        approval = await asked(client, first, f"/v1/staff/{who.id}/{act}", {**body})
        assert (await decide(client, second, approval)).status == 200
        assert not await opens(client, who.session), act


@pytest.mark.usefixtures("nothing_ends")
async def test_a_void_session_is_not_listed_and_another_name_makes_none_void(client: Client) -> None:
    await register(client, papers().body)
    mine, other = await login(client, papers()), await login(client, papers())
    named = await client.patch("/v1/me", json={"full_name": "Wanda B"}, headers=await as_user(client, mine))
    assert (named.status, await opens(client, other)) == (200, True)
    answer = await client.post("/v1/password", json={"password": NEW}, headers=await as_user(client, mine))
    renewed = (await answer.json())["session"]
    listed = await client.get("/v1/sessions", headers=await as_user(client, renewed))
    assert [each["current"] for each in (await listed.json())["items"]] == [True]
    assert [await opens(client, session) for session in (mine, other, renewed)] == [False, False, True]


async def test_who_changed_the_password_before_it_was_reset_keeps_nothing(
    client: Client, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief with a session changes the password; its owner resets it before the thief's session is renewed."""
    await register(client, papers().body)
    thief = await as_user(client, await login(client, papers()))
    await client.post("/v1/password/forgot", json={"email": papers().email})
    code = await letters.code("reset-code", to=papers().email)
    revoke_all, calls = Access.revoke_all, 0

    async def reset_late(
        access: Access, user_id: UserId, reason: RevocationReason, *, but: UUID | None = None
    ) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:  # the change is committed
            monkeypatch.undo()
            monkeypatch.setattr(Sessions, "end_all", ends_nothing)
            body = {"email": papers().email, "code": code, "password": NEW}
            assert (await client.post("/v1/password/reset", json=body)).status == 204
        return await revoke_all(access, user_id, reason, but=but)

    monkeypatch.setattr(Access, "revoke_all", reset_late)
    answer = await client.post("/v1/password", json={"password": "frase del ladrón"}, headers=thief)
    assert answer.status == 200
    assert not await opens(client, (await answer.json())["session"])


async def test_a_request_made_while_the_password_is_changed_does_not_end_the_session_it_is_changed_with(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(client, papers().body)
    session = await login(client, papers())
    me, renew = await as_user(client, session), Access.renew

    async def renew_late(access: Access, user_id: UserId, sid: UUID, proof: int) -> StartedSession:
        assert not await opens(client, session)
        return await renew(access, user_id, sid, proof)

    monkeypatch.setattr(Access, "renew", renew_late)
    answer = await client.post("/v1/password", json={"password": NEW}, headers=me)
    assert answer.status == 200
    assert await opens(client, (await answer.json())["session"])


async def test_no_role_of_the_service_says_what_sessions_stand_on(client: Client, database: Database) -> None:
    await register(client, papers().body)
    app = await asyncpg.connect(database.dsn("identity_app"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("UPDATE users SET proof = proof + 1")
    await app.close()
