"""Staff, made on the command line as an operator does."""

import asyncio
import stat
import sys
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path

import pytest
from common.testing import Database
from identity.__main__ import main

from services.identity.tests.people import PASSWORD, Client, Owner, Papers, as_user, login, papers

Create = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def create(database: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Create:
    """Runs `staff create`, the password on standard input; gives the exit status and what was told."""
    monkeypatch.setenv("DATABASE_DSN", database.dsn("identity_app"))

    async def run(who: Papers, *, role: str = "official") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", StringIO(f"{who.password}\n"))
        arguments = ["--email", who.email, "--role", role, "--curp", who.curp, "--full-name", who.full_name]
        status = await asyncio.to_thread(main, ["staff", "create", *arguments])
        told = capfd.readouterr()
        return status, told.out + told.err

    return run


async def test_an_official_is_created_once_and_can_log_in(
    create: Create, client: Client, owner: Owner
) -> None:
    for outcome in ("created", "exists"):
        status, told = await create(papers())
        assert (status, told.split()[-1]) == (0, outcome), told
        assert PASSWORD not in told
    me = await client.get("/v1/me", headers=await as_user(client, await login(client, papers())))
    assert (await me.json())["role"] == "official"
    assert [
        each["routing_key"] for each in await owner.fetch("SELECT routing_key FROM outbox ORDER BY id")
    ] == [
        "identity.staff.created.v1",
        "identity.session.created.v1",
    ]


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


async def test_a_signing_key_is_for_its_owner_and_never_replaced(tmp_path: Path) -> None:
    out = tmp_path / "key.pem"
    assert main(["keys", "create", "--out", str(out)]) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    made = out.read_bytes()
    assert main(["keys", "create", "--out", str(out)]) == 1
    assert out.read_bytes() == made


async def test_the_command_is_there() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "identity", "staff", "create", "--help", stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert b"--password-file" in told
