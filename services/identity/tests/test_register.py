"""Registering, over HTTP and into a real database."""

import asyncio
import json
from datetime import date

import pytest

from services.identity.tests.conftest import MakeClient
from services.identity.tests.people import PASSWORD, Client, Owner, papers, register


async def test_a_bettor_registers_and_the_others_hear_of_it(client: Client, owner: Owner) -> None:
    who = papers()
    answer = await register(client, {**who.body, "curp": who.curp.lower(), "birth_date": "1990-05-17"})
    shown = await answer.json()
    assert answer.status == 201
    assert await owner.fetchval("SELECT kind || value FROM holder_document") == f"curp{who.curp}"
    assert shown["role"] == "bettor"
    event = await owner.fetchrow("SELECT routing_key, aggregate, version, body FROM outbox")
    assert event is not None
    assert tuple(event)[:3] == ("identity.user.registered.v1", f"users/{shown['id']}", 1)
    assert json.loads(event["body"])["data"]["user_id"] == shown["id"]
    assert not any(secret in event["body"] for secret in (who.curp, who.email, who.full_name))


async def test_a_password_is_kept_only_as_argon2id(client: Client, owner: Owner) -> None:
    await register(client, papers().body)
    stored = await owner.fetchval("SELECT password_hash FROM users")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    kept = await owner.fetchval("SELECT string_agg(i::text, ' ') FROM idempotency i")
    assert PASSWORD not in kept


async def test_the_fingerprint_tells_nothing_of_the_password(client: Client, owner: Owner) -> None:
    who = papers()
    await register(client, who.body, key="first")
    await register(client, {**who.body, "password": "otra frase muy distinta"}, key="second")
    assert await owner.fetchval("SELECT count(DISTINCT fingerprint) FROM idempotency") == 1


async def test_the_same_request_with_the_same_key_registers_once(client: Client, owner: Owner) -> None:
    first, again = [await register(client, papers().body, key="k") for _ in range(2)]
    assert (first.status, again.status) == (201, 201)
    assert await first.read() == await again.read()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await owner.fetchval("SELECT count(*) FROM users") == 1
    assert await owner.fetchval("SELECT count(*) FROM outbox") == 1


@pytest.mark.parametrize("change", [{"full_name": "Another Name"}, {"password": "otra frase muy distinta"}])
async def test_another_request_with_the_same_key_is_refused(client: Client, change: dict[str, str]) -> None:
    await register(client, papers().body, key="k")
    answer = await register(client, {**papers().body, **change}, key="k")
    assert answer.status == 422
    assert (await answer.json())["type"] == "/problems/idempotency-key-reused"


async def test_two_people_may_use_the_same_key(client: Client) -> None:
    for number in range(2):
        assert (await register(client, papers(number).body, key="1")).status == 201


@pytest.mark.parametrize("change", [{"email": "someone@else.mx"}, {"curp": papers(1).curp}])
async def test_a_taken_curp_and_a_taken_email_are_refused_alike(
    client: Client, owner: Owner, change: dict[str, str]
) -> None:
    await register(client, papers().body)
    answer = await register(client, {**papers().body, **change}, key="k")
    problem = await answer.json()
    assert (answer.status, problem["type"]) == (409, "/problems/already-registered")
    assert "field" not in problem
    assert await owner.fetchval("SELECT count(*) FROM users") == 1
    replay = await register(client, {**papers().body, **change}, key="k")
    assert (replay.status, replay.headers["Idempotent-Replayed"]) == (409, "true")


async def test_one_curp_registers_once_however_many_try_at_once(client: Client, owner: Owner) -> None:
    bodies = [{**papers().body, "email": f"wanda{number}@example.mx"} for number in range(12)]
    answers = await asyncio.gather(*(register(client, body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 11
    assert await owner.fetchval("SELECT count(*) FROM users") == 1
    assert await owner.fetchval("SELECT count(*) FROM outbox") == 1


async def test_a_minor_is_refused(client: Client, owner: Owner) -> None:
    young = papers(born=date.today().replace(year=date.today().year - 17, day=1))  # noqa: DTZ011
    answer = await register(client, young.body)
    assert (answer.status, (await answer.json())["type"]) == (422, "/problems/underage")
    assert await owner.fetchval("SELECT count(*) FROM users") == 0


WRONG = papers().curp[:-1] + str((int(papers().curp[-1]) + 1) % 10)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"curp": WRONG}, 400, "curp"),
        ({"curp": 7}, 400, "curp"),
        ({"curp": None}, 400, "curp"),
        ({"curp": "X" * 300}, 400, "curp"),
        ({"email": "nobody"}, 400, "email"),
        ({"full_name": "7"}, 400, "full_name"),
        ({"birth_date": "1990-05-18"}, 400, "birth_date"),
        ({"birth_date": "yesterday"}, 400, "birth_date"),
        ({"birth_date": 1.5}, 400, "birth_date"),
        ({"password": "corto"}, 400, "password"),
        ({"password": "password1"}, 400, "password"),
        ({"password": "x" * 129}, 400, "password"),
        ({"password": "x" * 2000}, 400, "password"),
        ({"role": "admin"}, 400, "role"),
        ({"id": "00000000-0000-0000-0000-000000000000"}, 400, "id"),
    ],
)
async def test_bad_input_is_named_and_changes_nothing(
    client: Client, owner: Owner, change: dict[str, object], status: int, field: str
) -> None:
    answer = await register(client, {**papers().body, **change})
    problem = await answer.json()
    assert (answer.status, problem["field"]) == (status, field)
    assert answer.content_type == "application/problem+json"
    assert PASSWORD not in json.dumps(problem)
    for table in ("users", "outbox", "idempotency"):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"curp": "A", "curp": "B"}', {}, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"x" * 300_000, {}, 413),
    ],
)
async def test_a_body_that_is_no_request_is_refused(
    client: Client, body: bytes, headers: dict[str, str], status: int
) -> None:
    sent = {"Content-Type": "application/json", "Idempotency-Key": "k", **headers}
    answer = await client.post("/v1/register", data=body, headers=sent)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("key", [None, "", "k" * 256, "clave ñ"])
async def test_a_usable_idempotency_key_is_required(client: Client, key: str | None) -> None:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await client.post("/v1/register", json=papers().body, headers=headers)
    assert answer.status == 400
    assert (await answer.json())["field"] == "Idempotency-Key"


async def test_beyond_the_queue_people_are_told_to_come_back(make_client: MakeClient, owner: Owner) -> None:
    async with make_client(hash_workers=1, hash_queue=1) as client:
        answers = await asyncio.gather(*(register(client, papers(number).body) for number in range(12)))
        statuses = {answer.status for answer in answers}
        assert statuses == {201, 503}
        busy = next(answer for answer in answers if answer.status == 503)
        assert busy.headers["Retry-After"] == "1"
        assert (await busy.json())["type"] == "/problems/hashing-busy"
    registered = sum(answer.status == 201 for answer in answers)
    assert await owner.fetchval("SELECT count(*) FROM users") == registered


@pytest.mark.parametrize("born", ["9982-01-01", "9999-12-31", "2030-01-01"])
async def test_who_is_not_born_yet_is_underage(client: Client, born: str) -> None:
    """Also whose eighteenth birthday lies beyond the calendar."""
    someone = {name: value for name, value in papers().body.items() if name != "curp"}
    document = {"kind": "cpf", "value": "39053344705"}
    answer = await register(client, {**someone, "document": document, "birth_date": born})
    problem = await answer.json()
    assert (answer.status, problem["type"], problem["field"]) == (422, "/problems/underage", "birth_date")
