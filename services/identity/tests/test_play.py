"""Responsible gaming: less at once, more after a day, confirmed when the ledger says so, never shortened."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestServer
from common.redis import connect
from common.testing import Database
from hypothesis import given
from hypothesis import strategies as st
from identity.api.parts import PLAY
from identity.domain import play
from identity.domain.people import UserId
from identity.domain.play import AlreadyExcluded, Exclusion, InvalidLimit, Measure, Period, PlayPolicy
from identity.sessions import Sessions, SessionsUnavailable

from services.identity.tests.conftest import MakeClient
from services.identity.tests.people import Client, Owner, as_user, keyed, login, papers, register

STAKE_A_DAY = (Measure.STAKE, Period.DAY)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOBODY = PlayPolicy(UserId(UUID(int=1)), NOW)
Json = dict[str, Any]


@dataclass
class Books:
    """The ledger's side of the conversation: a real server that notes what it is told, or is out of order."""

    told: list[Json] = field(default_factory=list)
    silent: bool = False

    async def put(self, request: web.Request) -> web.Response:
        if self.silent:
            raise web.HTTPServiceUnavailable
        assert "Signature" in request.headers
        self.told.append(await request.json())
        return web.json_response({"version": self.told[-1]["version"]})


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def client(make_client: MakeClient, books: Books) -> AsyncIterator[Client]:
    app = web.Application()
    app.router.add_put("/v1/player-policies", books.put)
    async with TestServer(app) as server, make_client(ledger_url=str(server.make_url(""))) as made:
        yield made


@pytest.fixture
async def me(client: Client) -> dict[str, str]:
    await register(client, papers().body)
    return await as_user(client, await login(client, papers()))


async def put(
    client: Client, me: dict[str, str], amount: str | None, measure: str = "stake"
) -> ClientResponse:
    body = {"measure": measure, "period": "day", "amount": amount}
    return await client.put("/v1/play/limits", json=body, headers=keyed(me))


async def test_a_limit_that_is_asked_for_again_is_not_set_again(client: Client, me: dict[str, str]) -> None:
    """Whoever overheard the request for 500 and sends it again after 200 was set changes nothing."""
    first = {"measure": "stake", "period": "day", "amount": "500.00"}
    sent = keyed(me)
    assert (await client.put("/v1/play/limits", json=first, headers=sent)).status == 200
    assert (await put(client, me, "200.00")).status == 200
    again = await client.put("/v1/play/limits", json=first, headers=sent)
    (limit,) = (await again.json())["limits"]
    assert (again.status, limit["amount"], limit["pending"]) == (200, "200.00", None)
    assert await shown(client, me) == await again.json()
    other = await client.put("/v1/play/limits", json={**first, "amount": "400.00"}, headers=sent)
    assert (other.status, (await other.json())["type"]) == (422, "/problems/idempotency-key-reused")
    unkeyed = await client.put("/v1/play/limits", json=first, headers=me)
    assert (unkeyed.status, (await unkeyed.json())["field"]) == (400, "Idempotency-Key")


async def shown(client: Client, me: dict[str, str]) -> Json:
    found: Json = await (await client.get("/v1/play/limits", headers=me)).json()
    return found


async def test_a_smaller_limit_holds_when_the_ledger_says_so(
    client: Client, me: dict[str, str], books: Books, owner: Owner
) -> None:
    for amount in ("500.00", "200.00"):
        answer = await put(client, me, amount)
        assert (answer.status, (await answer.json())["confirmed"]) == (200, True)
    assert [told["caps"][0]["amount"] for told in books.told] == ["500.00", "200.00"]
    assert [told["version"] for told in books.told] == [1, 2]
    assert (await shown(client, me))["limits"][0]["amount"] == "200.00"
    assert (
        await owner.fetchval("SELECT count(*) FROM outbox WHERE routing_key = 'identity.policy.changed.v1'")
        == 2
    )


async def test_a_larger_one_waits_for_a_day(
    client: Client, me: dict[str, str], books: Books, owner: Owner
) -> None:
    await put(client, me, "200.00")
    answer = await (await put(client, me, "900.00")).json()
    (limit,) = answer["limits"]
    assert (limit["amount"], limit["pending"]) == ("200.00", "900.00")
    waits = datetime.fromisoformat(limit["pending_from"]) - datetime.fromisoformat(limit["set_at"])
    assert waits == timedelta(hours=24)
    assert books.told[-1]["caps"][0]["amount"] == "200.00"
    await owner.execute("ALTER TABLE play_limit DISABLE TRIGGER USER")
    await owner.execute(
        "UPDATE play_limit SET set_at = set_at - INTERVAL '25 h', pending_from = pending_from - INTERVAL '25 h'"
    )
    await owner.execute("ALTER TABLE play_limit ENABLE TRIGGER USER")
    assert client.app is not None
    await client.app[PLAY].step()
    (limit,) = (await shown(client, me))["limits"]
    assert (limit["amount"], limit["pending"]) == ("900.00", None)
    assert books.told[-1]["caps"][0]["amount"] == "900.00"


async def test_a_silent_ledger_confirms_nothing_and_is_told_again(
    client: Client, me: dict[str, str], books: Books, owner: Owner
) -> None:
    books.silent = True
    answer = await put(client, me, "100.00")
    assert (answer.status, (await answer.json())["confirmed"]) == (202, False)
    assert not (await shown(client, me))["confirmed"]
    books.silent = False
    await owner.execute("UPDATE play_policy SET push_at = now() - INTERVAL '1 second'")
    assert client.app is not None
    await client.app[PLAY].step()
    assert (await shown(client, me))["confirmed"]
    assert books.told[-1]["version"] == 1


async def test_an_exclusion_is_never_shortened(client: Client, me: dict[str, str], books: Books) -> None:
    answer = await client.post("/v1/play/exclusion", json={"length": "1-week"}, headers=me)
    assert (answer.status, books.told[-1]["caps"]) == (200, [])
    assert books.told[-1]["blocked_until"] is not None
    shorter = await client.post("/v1/play/exclusion", json={"length": "1-day"}, headers=me)
    assert (shorter.status, (await shorter.json())["type"]) == (409, "/problems/already-excluded")
    longer = await client.post("/v1/play/exclusion", json={"length": "for-good"}, headers=me)
    assert (await longer.json())["excluded_for_good"]


async def test_who_closes_the_account_is_blocked_for_good(
    client: Client, me: dict[str, str], books: Books
) -> None:
    assert (await client.post("/v1/me/close", headers=me)).status == 200
    back = await as_user(client, await login(client, papers()))
    assert (await shown(client, back))["excluded_for_good"]
    assert client.app is not None
    await client.app[PLAY].step()
    assert books.told[-1]["blocked_until"].startswith("9999")
    answer = await put(client, back, "100.00")
    assert (answer.status, (await answer.json())["type"]) == (403, "/problems/account-closed")


async def session_limit(client: Client, me: dict[str, str], minutes: int | None) -> ClientResponse:
    amount = None if minutes is None else str(minutes)
    body = {"measure": "session", "period": "session", "amount": amount}
    return await client.put("/v1/play/limits", json=body, headers=keyed(me))


async def live(client: Client, me: dict[str, str]) -> list[Json]:
    found: list[Json] = (await (await client.get("/v1/sessions", headers=me)).json())["items"]
    return found


def lasts(session: Json) -> timedelta:
    return datetime.fromisoformat(session["expires_at"]) - datetime.fromisoformat(session["started_at"])


async def test_a_session_limit_holds_for_the_sessions_there_are_and_those_to_come(
    client: Client, me: dict[str, str], books: Books
) -> None:
    answer = await session_limit(client, me, 30)
    assert (answer.status, (await answer.json())["limits"][0]["unit"]) == (200, "minutes")
    assert books.told[-1]["caps"] == []
    assert [lasts(each) for each in await live(client, me)] == [timedelta(minutes=30)]
    told = await (
        await client.post("/v1/login", json={"email": papers().email, "password": papers().password})
    ).json()
    assert [lasts(each) for each in await live(client, me)] == [timedelta(minutes=30)] * 2
    assert datetime.fromisoformat(told["expires_at"]) < datetime.now(UTC) + timedelta(minutes=31)
    answer = await session_limit(client, me, 60)
    (limit,) = (await answer.json())["limits"]
    assert (limit["amount"], limit["pending"]) == ("30", "60")


async def test_a_session_that_has_lasted_longer_ends_at_once(
    client: Client, me: dict[str, str], owner: Owner, redis_url: str
) -> None:
    secret = await login(client, papers())
    (elder,) = [each for each in await live(client, me) if not each["current"]]
    redis = connect(redis_url)
    await redis.hincrby(f"identity:session:{elder['id']}", "started", -3600)
    assert (await session_limit(client, me, 30)).status == 200
    assert elder["id"] not in [each["id"] for each in await live(client, me)]
    assert await redis.exists(f"identity:session:{elder['id']}") == 0
    await redis.aclose()
    refused = await client.post("/internal/token", json={"session": secret, "audience": "identity"})
    assert refused.status == 401
    reason = await owner.fetchval(
        "SELECT body->'data'->>'reason' FROM outbox WHERE routing_key = 'identity.session.revoked.v1' LIMIT 1"
    )
    assert reason == "session-limit"


async def test_while_sessions_cannot_be_had_a_session_limit_is_not_confirmed(
    client: Client, me: dict[str, str], owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> tuple[UUID, ...]:
        raise SessionsUnavailable("Sessions cannot be read now.")

    monkeypatch.setattr(Sessions, "shorten", gone)
    answer = await session_limit(client, me, 30)
    assert (answer.status, (await answer.json())["confirmed"]) == (202, False)
    monkeypatch.undo()
    await owner.execute("UPDATE play_policy SET push_at = now() - INTERVAL '1 second'")
    assert client.app is not None
    await client.app[PLAY].step()
    assert (await shown(client, me))["confirmed"]
    assert [lasts(each) for each in await live(client, me)] == [timedelta(minutes=30)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"measure": "session", "period": "day", "amount": "60"}, "period"),
        ({"measure": "stake", "period": "session", "amount": "60"}, "period"),
        ({"measure": "session", "period": "session", "amount": "4"}, "amount"),
        ({"measure": "session", "period": "session", "amount": "60.50"}, "amount"),
        ({"measure": "session", "period": "session", "amount": "1441"}, "amount"),
        ({"measure": "luck", "period": "day", "amount": "1.00"}, "measure"),
        ({"measure": "stake", "period": "year", "amount": "1.00"}, "period"),
        ({"measure": "stake", "period": "day", "amount": 1.5}, "amount"),
        ({"measure": "stake", "period": "day", "amount": "-1.00"}, "amount"),
        ({"measure": "stake", "period": "day", "amount": "1.001"}, "amount"),
        ({"measure": "stake", "period": "day"}, "amount"),
    ],
)
async def test_bad_limits_are_named(client: Client, me: dict[str, str], body: Json, named: str) -> None:
    answer = await client.put("/v1/play/limits", json=body, headers=keyed(me))
    assert (answer.status, (await answer.json())["field"]) == (400, named)


async def test_the_database_lets_no_limit_grow_at_once_and_no_block_shrink(
    client: Client, me: dict[str, str], database: Database
) -> None:
    await put(client, me, "200.00")
    await client.post("/v1/play/exclusion", json={"length": "1-week"}, headers=me)
    attacks = {
        "UPDATE play_limit SET amount = 900": "play_limit_grows_by_waiting",
        "UPDATE play_limit SET amount = NULL": "play_limit_grows_by_waiting",
        "UPDATE play_limit SET pending = 900, pending_from = now()": "play_limit_grows_after_a_day",
        "UPDATE play_limit SET pending = 100, pending_from = set_at + INTERVAL '2 days'": "play_limit_waits_only_to_grow",
        "UPDATE play_policy SET blocked_until = NULL": "play_policy_block_is_kept",
        "UPDATE play_policy SET blocked_until = now()": "play_policy_block_is_kept",
        "UPDATE play_policy SET version = version + 2": "play_policy_moves_on",
        "UPDATE play_policy SET acknowledged = version + 1": "play_policy_is_acknowledged_in_order",
    }
    app = await asyncpg.connect(database.dsn("identity_app"))
    for statement, constraint in attacks.items():
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute(statement)
        assert refusal.value.constraint_name == constraint, statement
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("DELETE FROM play_limit")
    await app.close()


# The rules by themselves

amounts = st.one_of(st.none(), st.decimals(0, 1000, places=2))


@given(st.lists(st.tuples(amounts, st.integers(0, 40)), max_size=20))
def test_nothing_that_held_grows_sooner_than_a_day_after_it_was_asked_for(
    story: list[tuple[Decimal | None, int]],
) -> None:
    policy, now = NOBODY, NOW
    asked: list[tuple[datetime, Decimal | None]] = []
    for amount, hours in story:
        now += timedelta(hours=hours)
        before = policy.limits.get(STAKE_A_DAY)
        policy = play.grow(policy, now=now)
        after = policy.limits.get(STAKE_A_DAY)
        if before is not None and after is not None and after.amount != before.amount:
            assert now - timedelta(hours=24) >= asked[-1][0]
            assert asked[-1][1] == after.amount
        held = None if after is None else after.amount
        policy = play.set_limit(policy, STAKE_A_DAY, amount, now=now)
        asked.append((now, amount))
        limit = policy.limits.get(STAKE_A_DAY)
        if held is not None:
            assert limit is not None
            assert limit.amount is not None
            assert limit.amount <= held


def test_amounts_are_exact_and_bounded() -> None:
    for amount in ("-1", "0.001", "1000000001", "NaN", "Infinity"):
        with pytest.raises((InvalidLimit, ArithmeticError)):
            play.set_limit(NOBODY, STAKE_A_DAY, Decimal(amount), now=NOW)


def test_an_exclusion_only_gets_longer() -> None:
    policy = play.exclude(NOBODY, play.until(Exclusion.ONE_WEEK, NOW), now=NOW)
    with pytest.raises(AlreadyExcluded):
        play.exclude(policy, play.until(Exclusion.ONE_DAY, NOW), now=NOW)
    assert play.exclude(policy, play.until(Exclusion.FOR_GOOD, NOW), now=NOW).blocked_until == play.FOR_GOOD


async def test_payments_is_told_what_somebody_may_deposit(client: Client, me: dict[str, str]) -> None:
    """Only of deposits, and only what holds: a larger limit waits for its day."""
    await put(client, me, "50.00")
    await put(client, me, "200.00", measure="deposit")
    await put(client, me, "900.00", measure="deposit")
    person = (await (await client.get("/v1/me", headers=me)).json())["id"]
    told = await (await client.get(f"/internal/holders/{person}")).json()
    assert (told["deposit_limits"], told["blocked_until"]) == ({"day": "200.00"}, None)
    await client.post("/v1/play/exclusion", json={"length": "1-week"}, headers=me)
    excluded = await (await client.get("/v1/play/limits", headers=me)).json()
    told = await (await client.get(f"/internal/holders/{person}")).json()
    assert excluded["excluded_until"] is not None
    assert told["blocked_until"] == excluded["excluded_until"]
