"""Logging in, the session, its tokens, logging out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest
from common.auth import TokenVerifier
from common.errors import Unauthenticated
from common.redis import connect
from common.roles import Role
from identity.domain.people import Email, FullName, SessionEnded, User, UserId
from identity.sessions import MOST_SESSIONS, Lifetime, Sessions, SessionsUnavailable
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from services.identity.tests.conftest import MakeClient
from services.identity.tests.people import Client, Owner, as_user, login, papers, register, token

NOWHERE = "redis://127.0.0.1:1/0"
SOMEBODY = User(
    id=UserId(UUID(int=1)),
    email=Email("wanda@example.mx"),
    full_name=FullName("Wanda"),
    birth_date=datetime(1931, 8, 20, tzinfo=UTC).date(),
    role=Role.BETTOR,
    registered_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url)
    yield client
    await client.aclose()


async def test_a_session_opens_the_door_until_it_is_ended(client: Client) -> None:
    await register(client, papers().body)
    session = await login(client, papers())
    headers = await as_user(client, session)
    me = await client.get("/v1/me", headers=headers)
    assert (me.status, (await me.json())["email"]) == (200, papers().email)
    assert (await client.post("/v1/logout", headers=headers)).status == 204
    refused = await client.post("/internal/token", json={"session": session, "audience": "identity"})
    assert (refused.status, (await refused.json())["type"]) == (401, "/problems/session-ended")


async def test_an_end_that_redis_broke_off_can_be_asked_for_again(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever logs out and is told to try again is not left with a session that nothing finds any more."""

    async def breaks_off(*_: object) -> int:
        raise RedisConnectionError("reset by peer")

    sessions = Sessions(redis)
    started = await sessions.start(SOMEBODY, Lifetime(timedelta(minutes=5), timedelta(hours=1)))
    monkeypatch.setattr(redis, "delete", breaks_off)
    with suppress(SessionsUnavailable):
        await sessions.end(SOMEBODY.id, started.session.sid)
    monkeypatch.undo()
    await sessions.end(SOMEBODY.id, started.session.sid)
    with pytest.raises(SessionEnded):
        await sessions.resume(started.secret)


async def test_beginning_and_end_of_a_session_are_told_once_each(client: Client, owner: Owner) -> None:
    await register(client, papers().body)
    session = await login(client, papers())
    headers = await as_user(client, session)
    for _ in range(2):
        assert (await client.post("/v1/logout", headers=headers)).status == 204
    told = await owner.fetch(
        "SELECT routing_key, aggregate, version, body FROM outbox WHERE aggregate LIKE 'sessions/%' ORDER BY id"
    )
    assert [(each["routing_key"], each["version"]) for each in told] == [
        ("identity.session.created.v1", 1),
        ("identity.session.revoked.v1", 2),
    ]
    assert len({each["aggregate"] for each in told}) == 1
    assert session not in json.dumps([each["body"] for each in told])


async def test_each_login_has_a_session_of_its_own(client: Client) -> None:
    await register(client, papers().body)
    first, second = await login(client, papers()), await login(client, papers())
    assert first != second
    await client.post("/v1/logout", headers=await as_user(client, first))
    assert await token(client, second)


async def test_an_unknown_user_and_a_wrong_password_are_answered_alike(client: Client) -> None:
    await register(client, papers().body)
    tries = [
        {"email": papers().email, "password": "not the password"},
        {"email": "nobody@example.mx", "password": "not the password"},
        {"email": "not an address", "password": "not the password"},
    ]
    answers = [await client.post("/v1/login", json=each) for each in tries]
    told = [{**await answer.json(), "request_id": ""} for answer in answers]
    assert {answer.status for answer in answers} == {401}
    assert told[0] == told[1] == told[2]
    assert told[0]["type"] == "/problems/bad-credentials"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"email": "a@b.mx"}, "password"),
        ({"email": "a@b.mx", "password": 12345678}, "password"),
        ({"email": "a@b.mx", "password": "x", "remember": True}, "remember"),
    ],
)
async def test_bad_input_to_login_is_named(client: Client, body: dict[str, object], field: str) -> None:
    answer = await client.post("/v1/login", json=body)
    assert (answer.status, (await answer.json())["field"]) == (400, field)


async def test_a_password_counts_in_any_composition(client: Client) -> None:
    who = {**papers().body, "password": "contraseña larga"}
    await register(client, who)
    decomposed = {"email": papers().email.upper(), "password": "contrasen\N{COMBINING TILDE}a larga"}
    assert (await client.post("/v1/login", json=decomposed)).status == 200


async def test_an_old_hash_is_renewed_by_logging_in(make_client: MakeClient, owner: Owner) -> None:
    async with make_client(hash_passes=3) as client:
        await register(client, papers().body)
    async with make_client() as client:
        await login(client, papers())
        assert "m=19456,t=2,p=1" in await owner.fetchval("SELECT password_hash FROM users")
        await login(client, papers())


async def test_tokens_are_verified_by_the_published_keys_and_bound_to_their_audience(client: Client) -> None:
    registered = await (await register(client, papers().body)).json()
    session = await login(client, papers())
    issued = await token(client, session, "betting")
    identity_url = str(client.make_url("/"))
    principal = await TokenVerifier(identity_url, audience="betting").verify(issued)
    assert (principal.subject, principal.role) == (registered["id"], Role.BETTOR)
    with pytest.raises(Unauthenticated):
        await TokenVerifier(identity_url, audience="payments").verify(issued)
    claims = jwt.decode(issued, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] <= 60
    assert jwt.get_unverified_header(issued)["typ"] == "at+jwt"
    assert (await client.get("/v1/me", headers={"Authorization": f"Bearer {issued}"})).status == 401


@pytest.mark.parametrize("audience", ["identity ", "relay", "", None])
async def test_there_are_no_tokens_for_others(client: Client, audience: str | None) -> None:
    await register(client, papers().body)
    wanted = {"session": await login(client, papers()), "audience": audience}
    answer = await client.post("/internal/token", json=wanted)
    assert (answer.status, (await answer.json())["field"]) == (400, "audience")


@pytest.mark.parametrize("session", ["", "x", "A" * 43, "A" * 44, "ñ" * 43, "*" * 43])
async def test_what_is_no_session_gets_no_token(client: Client, session: str) -> None:
    answer = await client.post("/internal/token", json={"session": session, "audience": "betting"})
    assert answer.status == 401


async def test_redis_holds_no_secret(redis: Redis) -> None:
    sessions = Sessions(redis)
    started = await sessions.start(
        SOMEBODY, Lifetime(idle=timedelta(minutes=1), absolute=timedelta(minutes=1))
    )
    key = f"identity:session:{started.session.sid}"
    assert started.secret.encode() not in repr(await redis.hgetall(key)).encode()
    assert await sessions.resume(started.secret) == started.session


async def test_a_session_is_opened_by_its_whole_digest_not_by_its_name(redis: Redis) -> None:
    sessions = Sessions(redis)
    started = await sessions.start(
        SOMEBODY, Lifetime(idle=timedelta(minutes=1), absolute=timedelta(minutes=1))
    )
    await redis.hset(f"identity:session:{started.session.sid}", "digest", b"another secret's digest")
    with pytest.raises(SessionEnded):
        await sessions.resume(started.secret)


async def test_an_unused_session_ends(redis: Redis) -> None:
    sessions = Sessions(redis)
    started = await sessions.start(
        SOMEBODY, Lifetime(idle=timedelta(seconds=1), absolute=timedelta(minutes=1))
    )
    await asyncio.sleep(1.1)
    with pytest.raises(SessionEnded):
        await sessions.resume(started.secret)


async def test_using_a_session_puts_its_end_off_but_never_past_the_absolute_one(redis: Redis) -> None:
    sessions = Sessions(redis)
    started = await sessions.start(
        SOMEBODY, Lifetime(idle=timedelta(seconds=40), absolute=timedelta(seconds=60))
    )
    key = f"identity:session:{started.session.sid}"
    await redis.expire(key, 5)
    await sessions.resume(started.secret)
    assert 38 <= await redis.ttl(key) <= 40
    almost_over = datetime.now(UTC) + timedelta(seconds=10)
    await redis.hset(key, "ends", int(almost_over.timestamp()))
    await sessions.resume(started.secret)
    assert 8 <= await redis.ttl(key) <= 10
    await redis.hset(key, "ends", int((datetime.now(UTC) - timedelta(seconds=1)).timestamp()))
    with pytest.raises(SessionEnded):
        await sessions.resume(started.secret)


async def test_a_token_does_not_outlive_its_session(client: Client, redis: Redis) -> None:
    await register(client, papers().body)
    session = await login(client, papers())
    sid = jwt.decode(await token(client, session), options={"verify_signature": False})["sid"]
    ends = int(datetime.now(UTC).timestamp()) + 20
    await redis.hset(f"identity:session:{sid}", "ends", ends)
    claims = jwt.decode(await token(client, session), options={"verify_signature": False})
    assert claims["exp"] <= ends


async def test_without_redis_nobody_is_let_in_and_it_is_said_why(make_client: MakeClient) -> None:
    async with make_client(redis_url=NOWHERE) as client:
        assert (await register(client, papers().body)).status == 201
        answer = await client.post("/v1/login", json={"email": papers().email, "password": papers().password})
        assert (answer.status, (await answer.json())["type"]) == (503, "/problems/limiter-unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        exchange = await client.post("/internal/token", json={"session": "A" * 43, "audience": "betting"})
        assert exchange.status == 503
        ready = await client.get("/readyz")
        assert (ready.status, (await ready.json())["failed"]) == (503, ["sessions"])


async def test_a_redis_that_hangs_is_not_waited_for() -> None:
    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    redis = connect(f"redis://127.0.0.1:{port}/0", timeout_seconds=0.2)
    sessions = Sessions(redis)
    async with asyncio.timeout(2):
        with pytest.raises(SessionsUnavailable):
            await sessions.end(SOMEBODY.id, uuid4())
    await redis.aclose()
    server.close()


async def test_it_is_ready_and_documented(client: Client) -> None:
    assert (await client.get("/readyz")).status == 200
    paths = (await (await client.get("/openapi.json")).json())["paths"]
    assert {"/v1/register", "/v1/login", "/v1/logout", "/v1/me"} <= set(paths)


async def test_one_sees_and_ends_ones_own_sessions(client: Client, owner: Owner) -> None:
    for number in range(2):
        await register(client, papers(number).body)
    first, second, other = [await login(client, papers(number)) for number in (0, 0, 1)]
    mine, theirs = await as_user(client, first), await as_user(client, other)
    listed = (await (await client.get("/v1/sessions", headers=mine)).json())["items"]
    assert [each["current"] for each in sorted(listed, key=lambda each: each["current"])] == [False, True]
    assert {first, second}.isdisjoint(json.dumps(listed).split('"'))
    foreign = (await (await client.get("/v1/sessions", headers=theirs)).json())["items"][0]["id"]
    for sid in (foreign, str(uuid4()), "x"):
        refused = await client.delete(f"/v1/sessions/{sid}", headers=mine)
        assert (refused.status, (await refused.json())["type"]) == (404, "/problems/no-such-session")
    another = next(each["id"] for each in listed if not each["current"])
    assert (await client.delete(f"/v1/sessions/{another}", headers=mine)).status == 204
    assert (
        await client.post("/internal/token", json={"session": second, "audience": "betting"})
    ).status == 401
    assert await token(client, other)
    reasons = await owner.fetch(
        "SELECT body -> 'data' ->> 'reason' FROM outbox WHERE routing_key = 'identity.session.revoked.v1'"
    )
    assert [each[0] for each in reasons] == ["revoked"]


async def test_all_sessions_end_at_once(client: Client, owner: Owner) -> None:
    await register(client, papers().body)
    sessions = [await login(client, papers()) for _ in range(3)]
    answer = await client.delete("/v1/sessions", headers=await as_user(client, sessions[0]))
    assert (await answer.json())["revoked"] == 3
    for session in sessions:
        refused = await client.post("/internal/token", json={"session": session, "audience": "betting"})
        assert refused.status == 401
    told = await owner.fetchval(
        "SELECT count(*) FROM outbox WHERE routing_key = 'identity.session.revoked.v1'"
    )
    assert told == 3


async def test_the_oldest_session_makes_room(redis: Redis) -> None:
    sessions, lifetime = Sessions(redis), Lifetime(timedelta(minutes=1), timedelta(minutes=2))
    somebody = replace(SOMEBODY, id=UserId(uuid4()))
    begun = [await sessions.start(somebody, lifetime) for _ in range(MOST_SESSIONS + 2)]
    assert sum(len(each.pushed_out) for each in begun) == 2
    assert len(await sessions.of(somebody.id)) == MOST_SESSIONS


async def test_guessing_at_one_account_is_slowed_down_whether_it_exists_or_not(
    make_client: MakeClient,
) -> None:
    async with make_client(account_attempts=3, account_attempt_seconds=1000) as client:
        await register(client, papers().body)
        for email in (papers().email, f"{uuid4().hex}@example.mx"):
            wrong = {"email": email, "password": "not the password"}
            statuses = [(await client.post("/v1/login", json=wrong)).status for _ in range(5)]
            assert statuses == [401, 401, 401, 429, 429]
        right = {"email": papers().email, "password": papers().password}
        assert (await client.post("/v1/login", json=right)).status == 429


async def test_ones_own_log_ins_are_not_counted_against_one(make_client: MakeClient) -> None:
    async with make_client(account_attempts=3, account_attempt_seconds=1000) as client:
        who = papers(number=17)
        await register(client, who.body)
        for _ in range(6):
            await login(client, who)
