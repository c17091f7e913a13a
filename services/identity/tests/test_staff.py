"""Staff, made on the command line as an operator does."""

import asyncio
import stat
import sys
from pathlib import Path

import pytest
from aiohttp import ClientResponse
from identity.__main__ import main

from services.identity.tests.conftest import Create, authenticator, code
from services.identity.tests.people import PASSWORD, Client, Owner, Papers, as_user, papers


async def answer_to_login(client: Client, **more: str) -> ClientResponse:
    return await client.post(
        "/v1/login", json={"email": papers().email, "password": papers().password, **more}
    )


async def test_an_official_is_created_once_and_can_log_in(
    create: Create, client: Client, owner: Owner
) -> None:
    tellings, told = [], ""
    for outcome in ("created", "exists"):
        status, told = await create(papers())
        assert (status, told.split()[-1]) == (0, outcome), told
        assert PASSWORD not in told
        tellings.append(authenticator(told).secret)
    assert tellings[0] == tellings[1]
    login = await answer_to_login(client, code=code(authenticator(told)))
    me = await client.get("/v1/me", headers=await as_user(client, (await login.json())["session"]))
    assert (await me.json())["role"] == "official"
    assert [
        each["routing_key"] for each in await owner.fetch("SELECT routing_key FROM outbox ORDER BY id")
    ] == [
        "identity.staff.created.v1",
        "identity.session.created.v1",
    ]


async def test_staff_need_a_code_and_each_code_is_good_once(create: Create, client: Client) -> None:
    _, told = await create(papers())
    theirs = authenticator(told)
    good = code(theirs)
    tries: list[tuple[dict[str, str], int, str]] = [
        ({}, 401, "code-required"),
        ({"code": f"{(int(good) + 1) % 1_000_000:06d}"}, 401, "bad-code"),
        ({"code": code(theirs, steps=-3)}, 401, "bad-code"),
        ({"code": "abcdef"}, 401, "bad-code"),
        ({"code": good}, 200, ""),
        ({"code": good}, 401, "code-used"),
        ({"code": code(theirs, steps=-1)}, 401, "code-used"),
        ({"code": code(theirs, steps=1)}, 200, ""),
    ]
    for more, status, slug in tries:
        answer = await answer_to_login(client, **more)
        assert (answer.status, (await answer.json()).get("type", "").removeprefix("/problems/")) == (
            status,
            slug,
        ), more


async def test_one_code_used_by_many_at_once_lets_one_in(create: Create, client: Client) -> None:
    _, told = await create(papers())
    good = code(authenticator(told))
    answers = await asyncio.gather(*(answer_to_login(client, code=good) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7


async def test_a_wrong_password_is_not_told_apart_by_the_code(create: Create, client: Client) -> None:
    """The code is asked for when the password is right, so guessing passwords tells nothing about codes."""
    _, told = await create(papers())
    wrong = {"email": papers().email, "password": "not the password", "code": code(authenticator(told))}
    answer = await client.post("/v1/login", json=wrong)
    assert (answer.status, (await answer.json())["type"]) == (401, "/problems/bad-credentials")
    assert (await answer_to_login(client, code=code(authenticator(told)))).status == 200


async def test_an_account_is_not_turned_into_another(create: Create, owner: Owner) -> None:
    await create(papers())
    for who, role in ((papers(), "auditor"), (Papers(papers().curp, "other@example.mx"), "official")):
        status, told = await create(who, role=role)
        assert status == 1
        assert "already" in told
    assert await owner.fetchval("SELECT array_agg(role) FROM users") == ["official"]


async def test_a_weak_password_and_a_bettor_are_refused(create: Create, owner: Owner) -> None:
    status, told = await create(Papers(papers().curp, "o@example.mx", password="12345678"))
    assert status == 1
    assert "breached" in told
    with pytest.raises(SystemExit):
        await create(papers(), role="bettor")
    assert await owner.fetchval("SELECT count(*) FROM users") == 0


@pytest.mark.parametrize("act", ["create", "create-master"])
async def test_a_key_is_for_its_owner_and_never_replaced(tmp_path: Path, act: str) -> None:
    out = tmp_path / "key"
    assert main(["keys", act, "--out", str(out)]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    made = out.read_bytes()
    assert main(["keys", act, "--out", str(out)]) == 1
    assert out.read_bytes() == made


async def test_the_command_is_there() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "identity", "staff", "create", "--help", stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert b"--password-file" in told
