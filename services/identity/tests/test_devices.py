"""Devices: enrolled with a fresh proof, theirs alone, looked up by the gateway."""

import asyncio
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from aiohttp import ClientResponse
from common.http import STEP_UP_WITHIN
from common.redis import connect

from services.identity.tests.people import PASSWORD, Client, Owner, as_user, login, papers, register


async def enrol(
    client: Client, session: str, *, key: str | None = None, name: str = "Teléfono"
) -> ClientResponse:
    headers = {**await as_user(client, session), "Idempotency-Key": key or str(uuid4())}
    return await client.post("/v1/devices", json={"name": name}, headers=headers)


async def bettor(client: Client, number: int = 0) -> str:
    await register(client, papers(number).body)
    return await login(client, papers(number))


async def key_of(client: Client, session: str, device: str) -> ClientResponse:
    return await client.post("/internal/device-key", json={"session": session, "device": device})


async def slug(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, str((await answer.json())["type"]).removeprefix("/problems/")


async def test_a_device_gets_a_key_that_the_gateway_can_ask_for(client: Client, owner: Owner) -> None:
    session = await bettor(client)
    answer = await enrol(client, session)
    device = await answer.json()
    assert answer.status == 201
    assert len(b64decode(device["key"])) == 32
    asked = await key_of(client, session, device["id"])
    assert (await asked.json())["key"] == device["key"]
    stored = await owner.fetchval("SELECT string_agg(d::text, '') FROM device AS d")
    answers = await owner.fetchval("SELECT string_agg(body::text, '') FROM idempotency")
    assert device["key"] not in stored + answers
    assert await owner.fetchval("SELECT routing_key FROM outbox WHERE aggregate LIKE 'devices/%'") == (
        "identity.device.enrolled.v1"
    )


async def test_the_same_request_enrols_once_and_tells_the_same_key(client: Client, owner: Owner) -> None:
    session = await bettor(client)
    first, again = [await (await enrol(client, session, key="k")).json() for _ in range(2)]
    assert first == again
    assert await owner.fetchval("SELECT count(*) FROM device") == 1


async def test_another_persons_device_does_not_sign_for_me(client: Client) -> None:
    mine, theirs = await bettor(client, 0), await bettor(client, 1)
    device = await (await enrol(client, theirs)).json()
    assert await slug(await key_of(client, mine, device["id"])) == (403, "device-not-yours")
    for nonsense in (str(uuid4()), "x", ""):
        assert await slug(await key_of(client, mine, nonsense)) == (403, "device-not-yours")
    listed = await client.get("/v1/devices", headers=await as_user(client, mine))
    assert (await listed.json())["items"] == []
    gone = await client.delete(f"/v1/devices/{device['id']}", headers=await as_user(client, mine))
    assert await slug(gone) == (404, "no-such-device")


async def test_a_revoked_device_signs_nothing_and_it_is_told_once(client: Client, owner: Owner) -> None:
    session = await bettor(client)
    device = await (await enrol(client, session)).json()
    for _ in range(2):
        gone = await client.delete(f"/v1/devices/{device['id']}", headers=await as_user(client, session))
        assert gone.status == 204
    assert await slug(await key_of(client, session, device["id"])) == (403, "device-revoked")
    told = await owner.fetch("SELECT routing_key FROM outbox WHERE aggregate LIKE 'devices/%' ORDER BY id")
    assert [each[0] for each in told] == ["identity.device.enrolled.v1", "identity.device.revoked.v1"]


async def test_there_are_ten_at_most_however_many_come_at_once(client: Client, owner: Owner) -> None:
    session = await bettor(client)
    answers = await asyncio.gather(*(enrol(client, session) for _ in range(14)))
    assert sorted(answer.status for answer in answers) == [201] * 10 + [409] * 4
    assert await owner.fetchval("SELECT count(*) FROM device") == 10


async def test_bad_names_are_named(client: Client) -> None:
    session = await bettor(client)
    for name in ("", "   ", "x" * 61, "tel\u0007"):
        answer = await enrol(client, session, name=name)
        assert (answer.status, (await answer.json())["field"]) == (400, "name")


async def test_an_old_proof_does_not_enrol_and_stepping_up_changes_the_session(
    client: Client, redis_url: str
) -> None:
    session = await bettor(client)
    headers = await as_user(client, session)
    listed = await (await client.get("/v1/sessions", headers=headers)).json()
    redis = connect(redis_url)
    long_ago = int((datetime.now(UTC) - STEP_UP_WITHIN - timedelta(seconds=1)).timestamp())
    await redis.hset(f"identity:session:{listed['items'][0]['id']}", "proved", long_ago)
    await redis.aclose()
    assert await slug(await enrol(client, session)) == (403, "step-up-required")
    wrong = await client.post(
        "/v1/step-up", json={"password": "not it"}, headers=await as_user(client, session)
    )
    assert await slug(wrong) == (401, "bad-credentials")
    proof = await client.post(
        "/v1/step-up", json={"password": PASSWORD}, headers=await as_user(client, session)
    )
    renewed = (await proof.json())["session"]
    assert (await enrol(client, renewed)).status == 201
    old = await client.post("/internal/token", json={"session": session, "audience": "identity"})
    assert await slug(old) == (401, "session-ended")
