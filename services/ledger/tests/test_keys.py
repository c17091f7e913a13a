"""API keys over HTTP and from the command line: what each may do, until when, how often, signed or not."""

from __future__ import annotations

import asyncio
import json
import stat
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from common.client import RemoteProblem, ServiceClient
from common.errors import Invalid
from common.signing import RequestSigner, SigningKey
from ledger.keys import door as key_door
from ledger.keys import list_keys, revoke_key, revoke_keys, rotate_key
from ledger.keys.managing import KeyEnded, MadeKey, NoSuchKey
from ledger.keys.secrets import SigningRoots
from ledger.store import keys as key_store
from yarl import URL

from services.ledger.tests.commands import Operator
from services.ledger.tests.door import ROOTS, Door, deposit_body
from services.ledger.tests.vocabulary import connected

READING = ("GET", "/v1/trial-balance")


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are looked up at every request, so that no test waits for the cache."""
    monkeypatch.setattr(key_door, "CACHE_SECONDS", 0.0)


def slug(told: dict[str, object]) -> str:
    return str(told["type"]).removeprefix("/problems/")


async def test_a_key_is_stored_as_a_digest_alone(door: Door) -> None:
    made = await door.key(signed=True)
    assert made.signing is not None
    async with connected(door.database, "superuser") as connection:
        rows = [
            tuple(row.values()) for row in await connection.fetch("SELECT k::text, digest FROM api_key k")
        ]
    assert made.secret not in str(rows)
    assert b64encode(made.signing.secret).decode() not in str(rows)
    assert made.signing.secret.hex() not in str(rows)


async def test_scopes(door: Door) -> None:
    kinds = ["deposit", "bet.hold"]
    reader = await door.key(kinds=kinds, scopes=["read"])
    poster = await door.key(scopes=["post"])
    narrow = await door.key(scopes=["read", "post:deposit"])
    body, key = deposit_body(str(uuid4()), str(uuid4())), {"Idempotency-Key": "k"}

    assert (await door.ask(reader.secret, *READING))[0] == 200
    status, told = await door.ask(reader.secret, "POST", "/v1/entries", body, **key)
    assert (status, slug(told)) == (403, "read-only-key")

    status, told = await door.ask(poster.secret, *READING)
    assert (status, slug(told), told["scope"]) == (403, "scope-missing", "read")
    status, told = await door.ask(poster.secret, "POST", "/v1/entries", body, **key)
    assert slug(told) == "receipt-not-ready", "it got as far as the books"

    status, told = await door.ask(narrow.secret, "POST", "/v1/entries", body, **key)
    assert slug(told) == "receipt-not-ready"
    status, told = await door.ask(narrow.secret, "POST", "/v1/entries", body | {"kind": "bet.hold"}, **key)
    assert (status, slug(told), told["scope"]) == (403, "scope-missing", "post:bet.hold")


async def test_an_expired_key_and_a_revoked_one_are_unknown(door: Door) -> None:
    lasting, passing = await door.key(), await door.key(lifetime=timedelta(seconds=1))
    assert [(await door.ask(key.secret, *READING))[0] for key in (lasting, passing)] == [200, 200]
    await revoke_key(door.keys, lasting.id)
    await asyncio.sleep(1.1)
    for key in (lasting, passing):
        status, told = await door.ask(key.secret, *READING)
        assert (status, slug(told)) == (401, "unauthenticated")
    states = {key.id: key.state for key in await list_keys(door.keys, "el-carril", "tester")}
    assert states == {lasting.id: "revoked", passing.id: "expired"}


async def test_a_remembered_key_expires_on_time(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_door, "CACHE_SECONDS", 60.0)
    passing = await door.key(lifetime=timedelta(seconds=1))
    assert (await door.ask(passing.secret, *READING))[0] == 200
    await asyncio.sleep(1.1)
    assert (await door.ask(passing.secret, *READING))[0] == 401


async def test_a_key_that_many_present_at_once_is_looked_up_once(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every few seconds all requests of a busy key would look at once, and wait for the few connections."""
    looks = 0

    async def counted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return await look(*arguments)

    look = key_store.holder_by_digest
    monkeypatch.setattr(key_store, "holder_by_digest", counted)
    monkeypatch.setattr(key_door, "CACHE_SECONDS", 60.0)
    key = await door.key()
    answers = await asyncio.gather(*(door.ask(key.secret, *READING) for _ in range(40)))
    assert {status for status, _ in answers} == {200}
    assert looks == 1


async def test_a_remembered_key_is_looked_up_anew_before_it_is_forgotten(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for that look; what it finds counts."""
    monkeypatch.setattr(key_door, "CACHE_SECONDS", 60.0)
    monkeypatch.setattr(key_door, "REFRESH_SECONDS", 0.0)
    key = await door.key()
    assert (await door.ask(key.secret, *READING))[0] == 200
    await revoke_key(door.keys, key.id)
    assert (await door.ask(key.secret, *READING))[0] == 200
    async with asyncio.timeout(10):
        while (await door.ask(key.secret, *READING))[0] != 401:
            await asyncio.sleep(0.01)


async def test_rotation_overlaps(door: Door) -> None:
    old = await door.key(
        kinds=["deposit"], scopes=["read", "post:deposit"], signed=True, rate=(1000, 1000), per_day=1000
    )
    new = await rotate_key(door.keys, door.roots, old.id, timedelta(seconds=2))
    assert old.signing
    assert new.signing
    assert new.signing.secret != old.signing.secret
    base = str(door.client.make_url("")).rstrip("/")
    both = [
        ServiceClient(base, headers={"Authorization": f"Bearer {key}"}, signer=RequestSigner(signing))
        for key, signing in ((old.secret, old.signing), (new.secret, new.signing))
    ]
    async with both[0] as with_old, both[1] as with_new:
        assert [(await each.send(*READING)).status for each in (with_old, with_new)] == [200, 200]
        await asyncio.sleep(2.1)
        with pytest.raises(RemoteProblem, match="401"):
            await with_old.send(*READING)
        assert (await with_new.send(*READING)).status == 200
    successor, ended = await list_keys(door.keys, "el-carril", "tester")
    assert (successor.id, ended.id, ended.state, ended.replaced) == (new.id, old.id, "expired", True)
    terms = ("scopes", "signing_root", "rate_per_second", "burst", "requests_per_day", "lifetime")
    assert all(getattr(successor, term) == getattr(ended, term) for term in terms)


async def test_a_key_has_one_successor_and_a_dead_one_none(door: Door) -> None:
    key, dead = await door.key(), await door.key()
    await revoke_key(door.keys, dead.id)
    outcomes = await asyncio.gather(
        *(rotate_key(door.keys, door.roots, key.id, timedelta(hours=1)) for _ in range(4)),
        return_exceptions=True,
    )
    assert sorted(type(each) is KeyEnded for each in outcomes) == [False, True, True, True]
    with pytest.raises(KeyEnded):
        await rotate_key(door.keys, door.roots, dead.id, timedelta(hours=1))
    with pytest.raises(NoSuchKey):
        await rotate_key(door.keys, door.roots, uuid4(), timedelta(hours=1))


@pytest.mark.parametrize(
    "ending",
    [
        "UPDATE api_key SET revoked_at = NULL",
        "UPDATE api_key SET revoked_at = now() + interval '1 day'",
        "UPDATE api_key SET expires_at = NULL",
        "UPDATE api_key SET expires_at = now() + interval '9 years'",
    ],
)
async def test_a_dead_key_cannot_be_revived_in_sql(door: Door, ending: str) -> None:
    key = await door.key(lifetime=timedelta(days=1))
    await revoke_key(door.keys, key.id)
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await door.keys.execute(ending)
    assert refused.value.constraint_name == "api_key_only_ends"


@pytest.mark.parametrize("role", ["ledger_posting", "ledger_reader", "ledger_keys"])
async def test_no_role_widens_a_key(door: Door, role: str) -> None:
    await door.key()
    async with connected(door.database, role) as connection:
        for column, value in (
            ("scopes", "'{read,post}'"),
            ("digest", "sha256('x')"),
            ("signing_root", "NULL"),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"UPDATE api_key SET {column} = {value}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM api_key")


async def test_last_use_is_noted_by_the_minute(door: Door) -> None:
    key, idle = await door.key(), await door.key()
    await door.ask(key.secret, *READING)
    used = {each.id: each.last_used_at for each in await list_keys(door.keys, "el-carril", "tester")}
    assert used[key.id] is not None
    assert used[idle.id] is None
    await door.ask(key.secret, *READING)
    again = {each.id: each.last_used_at for each in await list_keys(door.keys, "el-carril", "tester")}
    assert again[key.id] == used[key.id]


async def test_a_rate_of_its_own(door: Door) -> None:
    slow, free = await door.key(rate=(1, 5)), await door.key()
    answers = await asyncio.gather(*(door.ask(slow.secret, *READING) for _ in range(12)))
    refused = [told for status, told in answers if status == 429]
    assert len(refused) == 7
    assert {slug(told) for told in refused} == {"rate-limited"}
    assert all(int(told["headers"]["Retry-After"]) >= 1 for told in refused)
    assert all("api-key" in told["headers"]["RateLimit"] for _, told in answers)
    assert {
        status for status, _ in await asyncio.gather(*(door.ask(free.secret, *READING) for _ in range(12)))
    } == {200}


async def test_a_quota_of_its_own(door: Door) -> None:
    key = await door.key(per_day=3)
    answers = [await door.ask(key.secret, *READING) for _ in range(5)]
    assert [status for status, _ in answers] == [200, 200, 200, 429, 429]
    assert slug(answers[4][1]) == "quota-exceeded"
    assert 0 < int(answers[4][1]["headers"]["Retry-After"]) <= 86_400


async def test_a_key_that_signs(door: Door) -> None:
    key = await door.key(kinds=["deposit"], signed=True)
    assert key.signing
    status, told = await door.ask(key.secret, *READING)
    assert (status, slug(told)) == (401, "signature-missing")
    assert (await signed(door, key, key.signing, READING))[0] == 200
    other = await door.key(signed=True)
    assert other.signing
    status, told = await signed(door, key, other.signing, READING)
    assert (status, slug(told)) == (401, "signature-invalid"), "each key has a secret of its own"
    headers = RequestSigner(key.signing).headers(READING[0], URL(f"http://x{READING[1]}"), {}, b"")
    assert [(await door.ask(key.secret, *READING, None, **headers))[0] for _ in range(2)] == [200, 401]


async def test_a_bearer_alone_spends_no_quota_of_a_key_that_signs(door: Door) -> None:
    key = await door.key(signed=True, per_day=1, rate=(1, 1))
    assert key.signing
    assert {(await door.ask(key.secret, *READING))[0] for _ in range(4)} == {401}
    assert (await signed(door, key, key.signing, READING))[0] == 200


async def signed(
    door: Door, key: MadeKey, by: SigningKey, asked: tuple[str, str]
) -> tuple[int, dict[str, object]]:
    headers = RequestSigner(by).headers(asked[0], URL(f"http://x{asked[1]}"), {}, b"")
    return await door.ask(key.secret, *asked, None, **headers)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ledger": "nowhere"}, "ledger"),
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "ledger"}, "name"),
        ({"kinds": ["grant"]}, "kinds"),
        ({"scopes": ["post:grant"]}, "kinds"),
        ({"scopes": ["write"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"rate": (0, 1)}, "rate"),
        ({"rate": (1, None)}, "rate"),
        ({"per_day": 0}, "per_day"),
        ({"lifetime": timedelta(0)}, "expires_in_days"),
    ],
)
async def test_terms_that_make_no_sense_name_their_field(
    door: Door, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await door.key(**changes)  # type: ignore[arg-type]  # on purpose
    assert refused.value.field == field
    assert await list_keys(door.keys, "el-carril", "tester") == []


async def test_a_ledger_made_after_the_process_is_not_served_yet(door: Door) -> None:
    async with connected(door.database, "superuser") as connection:
        await connection.execute("INSERT INTO ledger (id, name, chart) VALUES (78, 'latecomer', 'generic')")
    key = await door.key("late", ["transfer"], ledger="latecomer")
    for method, path in (("GET", "/v1/entries"), ("POST", "/v1/entries"), ("GET", "/v1/trial-balance")):
        status, told = await door.ask(key.secret, method, path, {}, **{"Idempotency-Key": "k"})
        assert (status, told["type"]) == (503, "/problems/ledger-not-served"), path
        assert told["headers"]["Retry-After"] == "10"


async def test_signing_needs_a_root(door: Door) -> None:
    door.roots = SigningRoots({})
    with pytest.raises(Invalid):
        await door.key(signed=True)
    with pytest.raises(ValueError, match="at least"):
        SigningRoots({"short": b"x"})


async def test_a_second_root_is_for_new_keys(door: Door) -> None:
    old = await door.key(signed=True)
    door.roots = SigningRoots({**ROOTS, "root-2": bytes(32)})
    new = await door.key(signed=True)
    roots = {key.id: key.signing_root for key in await list_keys(door.keys, "el-carril", "tester")}
    assert roots == {old.id: "root-1", new.id: "root-2"}
    assert door.roots.key_of(old.id, "root-1") == old.signing


async def test_kinds_stay_unless_they_are_given(door: Door) -> None:
    await door.key("somebody", ["deposit"])
    await door.key("somebody", None)
    async with connected(door.database, "superuser") as connection:
        assert await connection.fetchval("SELECT kinds FROM principal WHERE name = 'somebody'") == ["deposit"]


async def test_revoking_a_principal_ends_all_of_its_keys(door: Door) -> None:
    keys = [await door.key("leaver") for _ in range(3)]
    assert await revoke_keys(door.keys, "el-carril", "leaver") == 3
    assert {(await door.ask(key.secret, *READING))[0] for key in keys} == {401}
    assert await revoke_keys(door.keys, "el-carril", "leaver") == 0


async def test_the_command_line(
    door: Door, operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Create, list, rotate, revoke, as an operator does it."""
    file = tmp_path / "key"
    monkeypatch.setenv("SIGNING_ROOTS", str(tmp_path / "roots.json"))

    async def run(*arguments: str) -> tuple[int, str, str]:
        status, told, complained = await operator.run(door.database, "ledger_keys", "keys", *arguments)
        # The application serves in this very process and logs its requests when it likes.
        said = [line for line in told.splitlines(keepends=True) if not line.startswith('{"time"')]
        return status, "".join(said), complained

    create = (
        "create",
        "--name",
        "ops",
        "--kinds",
        "deposit",
        "--signed",
        "--rate",
        "10",
        "--burst",
        "20",
        "--per-day",
        "99",
    )
    assert (await run(*create, "--out", str(file)))[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    signing = SigningKey.parse(file.with_name("key.signing").read_text())
    assert (await signed(door, MadeKey(UUID(signing.id), file.read_text(), signing), signing, READING))[
        0
    ] == 200

    status, told, _ = await run("list", "--name", "ops")
    assert status == 0
    for part in (signing.id, "ops", "post read", "root-1", "10/s +20, 99/day", "live", file.read_text()[:12]):
        assert part in told
    assert file.read_text() not in told

    status, told, _ = await run("rotate", "--key", signing.id, "--overlap-hours", "1")
    assert status == 0
    fresh, fresh_signing = told.split()
    assert fresh.startswith("lk_live_")
    assert SigningKey.parse(fresh_signing).id != signing.id
    assert "live, replaced" in (await run("list"))[1]

    status, _, told = await run("rotate", "--key", signing.id)
    assert (status, "successor" in told) == (1, True)
    assert (await run("revoke", "--key", signing.id))[:2] == (
        0,
        f"{signing.id} revoked\n",
    )
    assert (await run("revoke", "--name", "ops"))[:2] == (0, "1 key(s) revoked\n")
    assert (await run("create", "--name", "ops", "--scopes", "write"))[0] == 1


def test_roots_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "roots.json"
    file.write_text(json.dumps({"a": b64encode(bytes(32)).decode()}))
    assert SigningRoots.load(file).newest == "a"
    assert SigningRoots.load(None).newest is None
