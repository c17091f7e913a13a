"""Every route there is, walked from the ROUTES table with what nobody can mean: it is refused by name and leaves no trace.

A route or a field that is added is walked as well. If a route takes a body, or names a kind of thing, that this page has
no example of, its test fails until there is one.
"""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient
from betting.api import ROUTES
from betting.api.official_requests import (
    AppointmentRequest,
    CardRequest,
    CarrilRequest,
    EventRequest,
    MarketRequest,
    MemberRequest,
    PermitRequest,
    PostponeRequest,
    RaceRequest,
    RateRequest,
    ReasonRequest,
    ResultRequest,
    RulingRequest,
    RunnerStableRequest,
    StableRequest,
    SuspensionRequest,
)
from betting.api.requests import CancelAllRequest, OfferRequest, ReasonedRequest
from common.http import Route
from common.testing import fresh_database
from pydantic import BaseModel

from services.betting.tests.fake_ledger import neighbours
from services.betting.tests.nonsense import nonsense
from services.betting.tests.served import served
from services.betting.tests.test_http import EVENT, MARKET, PERMIT, RACE, Day, Json, Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITH_BODY = [route for route in ROUTES if route.body is not None]
WITH_QUERY = [route for route in ROUTES if route.query is not None]
WITH_IDS = [route for route in ROUTES if "{" in route.path]
_keys = count(1)


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


@dataclass
class Scene:
    """A day with a market, an offer in it, a challenge, a stable and a suspension; and whoever may ask, by role."""

    client: TestClient[Any, Any]
    owner: "asyncpg.Connection[asyncpg.Record]"
    day: Day
    people: dict[str, Person]
    things: dict[str, str]

    def bodies(self) -> dict[type[BaseModel], Json]:
        """A body that makes sense here, with every field of it, for every model that a route takes."""
        day, runner = self.day, self.day.race["runners"][0]["id"]
        result = {
            "winner": runner, "margin": "cabeza", "off_time": "2036-06-07T18:10:05Z", "photo_sha256": "ab" * 32,
            "places": [[runner]],
        }  # fmt: skip
        reason = {"reason": "cojea"}
        return {
            CarrilRequest: {"name": "La Otra", "state": "SON", "length_m": 250, "margins": ["cabeza", "faja"]},
            PermitRequest: {**PERMIT, "number": "P-2"},
            StableRequest: {"name": "Cuadra Reyna"},
            MemberRequest: {"user_id": str(uuid4()), "part": "OWNER"},
            AppointmentRequest: {"official_id": str(uuid4())},
            RateRequest: {"state": "SON", "valid_from": "2036-01-01", "name": "isr", "bps": 100, "reason": "r"},
            SuspensionRequest: {**reason, "scope": "USER", "subject": str(uuid4())},
            ReasonRequest: reason,
            ReasonedRequest: reason,
            EventRequest: {**EVENT, "state": "SIN", "carril_id": None},
            RaceRequest: {**RACE, "number": 2, "conditions": "a los picos", "stables": [self.things["stables"], None]},
            CardRequest: {"content": "number,distance_m,starts_at,horses\n7,300,2036-06-07T18:50:00Z,a|b\n"},
            RunnerStableRequest: {"stable_id": self.things["stables"]},
            MarketRequest: {
                **MARKET, "currency": "MXN", "min_stake": "1.00", "max_stake": "100.00", "max_exposure": "100.00",
                "kind": "VENTAJA", "runners": [each["id"] for each in day.race["runners"]], "giver": runner,
                "line": "cabeza", "close_rule": "GATE", "draft": True,
            },
            PostponeRequest: {**reason, "starts_at": "2036-06-07T19:00:00Z"},
            ResultRequest: result,
            RulingRequest: {**result, **reason},
            CancelAllRequest: {"market_id": day.market["id"]},
            OfferRequest: {
                **day.offer(), "terms_hash": day.market["terms_hash"], "fill_or_kill": False, "min_fill": None,
                "expires_at": None, "challenges": None, "answers": None, "repeat": True,
            },
        }  # fmt: skip

    def path(self, route: Route, **instead: str) -> str:
        """The route's address with ids of what is there, or with something else in the place of one."""
        kinds = {"runner_id": "runners"}
        found = re.finditer(r"([^/]+)/\{([^}]+)\}", route.path)
        ids = {each[2]: self.things[kinds.get(each[2], each[1])] for each in found}
        return re.sub(r"\{([^}]+)\}", lambda each: (ids | instead)[each[1]], route.path)

    async def ask(
        self, route: Route, path: str, raw: bytes = b"{}", content_type: str = "application/json"
    ) -> tuple[int, Json]:
        """What whoever may ask is answered; a refusal has the form of one."""
        person = self.people[min(route.roles, default="bettor")]
        headers = {"Authorization": f"Bearer {person.token}", "Content-Type": content_type}
        if route.idempotent:
            headers["Idempotency-Key"] = f"bad-{next(_keys)}"
        body = None if route.method == "GET" else raw
        async with self.client.request(route.method, path, data=body, headers=headers) as answer:
            told = await answer.json(content_type=None)
            if answer.status >= 400:
                assert answer.content_type == "application/problem+json", (path, raw[:200])
                assert told["status"] == answer.status
            return answer.status, told

    async def taken(self, route: Route, asked: Iterable[tuple[str, bytes, str]]) -> list[object]:
        """Of requests, each with the field that is wrong in it: what was not refused by the field's name, and the tables in
        which something was left behind."""
        before, taken = await self.state(), list[object]()
        for path, raw, field in asked:
            status, told = await self.ask(route, path, raw)
            if status not in (400, 422) or told.get("field", "").partition(".")[0] != field:
                taken.append((field, path[:200], raw[:200], status, told.get("field"), told.get("detail")))
        after = await self.state()
        return taken + [table for table in before if after[table] != before[table]]

    async def state(self) -> dict[str, str]:
        """Every table's rows, digested."""
        tables = await self.owner.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        digests = " UNION ALL ".join(
            f"SELECT '{table[0]}', count(*) || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table[0]} t"
            for table in tables
        )
        return {row[0]: row[1] for row in await self.owner.fetch(digests)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database("betting"))
        ledger, identity = await stack.enter_async_context(neighbours())
        client = await stack.enter_async_context(served(database, ledger, identity))
        owner = await asyncpg.connect(database.superuser_dsn)
        stack.push_async_callback(owner.close)
        day = await Day(client, ledger, identity).begin()
        ana, beto, admin = day.person(), day.person(), day.person("admin")
        stable = await admin.ok("POST", "/v1/stables", {"name": "Cuadra Real"})
        barred = await admin.ok(
            "POST", "/v1/suspensions", {"scope": "USER", "subject": str(uuid4()), "reason": "r"}
        )
        rate = {"state": "SIN", "valid_from": "2036-01-01", "name": "isr", "bps": 1, "reason": "r"}
        asked_rate = await admin.ok("POST", "/v1/withholding-rates", rate)
        made = await ana.ok("POST", "/v1/offers", day.offer())
        asked = await beto.ok("POST", "/v1/offers", day.offer(1, challenges=str(ana.id)))
        yield Scene(
            client,
            owner,
            day,
            {"bettor": ana, "official": day.judges[0], "admin": admin},
            {
                "events": day.race["event_id"],
                "races": day.race["id"],
                "runners": day.race["runners"][0]["id"],
                "markets": day.market["id"],
                "offers": made["id"],
                "challenges": asked["id"],
                "stables": stable["id"],
                "suspensions": barred["id"],
                "withholding-rates": asked_rate["id"],
                "transitions": day.race["id"],
            },
        )


def written(body: Json, **instead: str) -> bytes:
    """The body as JSON, with raw text in the place of some of its values."""
    members = {each: json.dumps(value) for each, value in body.items()} | instead
    return ("{" + ",".join(f"{json.dumps(each)}:{text}" for each, text in members.items()) + "}").encode()


def wrong_bodies(route: Route, body: Json) -> Iterator[tuple[bytes, str]]:
    """Bodies, and the field that each is refused for."""
    assert route.body is not None
    schema = route.body.model_json_schema()
    assert set(body) == set(schema["properties"]), "the example has every field"
    for field, kind in schema["properties"].items():
        for raw in nonsense(kind, schema.get("$defs", {})):
            yield written(body, **{field: raw}), field
        yield written(body)[:-1] + f",{json.dumps(field)}:{json.dumps(body[field])}}}".encode(), field
    for field in schema.get("required", ()):
        yield written({each: value for each, value in body.items() if each != field}), field
    for extra in ("bonus", "Reason", "user_id_", ""):
        yield written({**body, extra: "1.00"}), extra or "body"
    whole = ("", "null", "[]", '"x"', "5", "{", "{}{}", written(body).decode() + "x", "\ufeff{}")
    yield from ((each.encode(), "body") for each in whole)
    yield b'{"a":"\xff"}', "body"


@pytest.mark.parametrize("route", WITH_BODY, ids=name)
async def test_no_field_of_a_body_takes_what_nobody_can_mean(scene: Scene, route: Route) -> None:
    assert route.body is not None
    path, wrong = scene.path(route), wrong_bodies(route, scene.bodies()[route.body])
    assert not await scene.taken(route, ((path, raw, field) for raw, field in wrong))
    status, told = await scene.ask(route, path, b"{}", "text/plain")
    assert (status, told["field"]) == (415, "Content-Type")


TOGETHER: tuple[tuple[str, Json, str], ...] = (
    ("/v1/carriles", {"margins": ["cabeza", "cabeza"]}, "margins"),
    ("/v1/carriles", {"margins": ["faja", "cabeza"]}, "margins"),
    ("/v1/permits", {"valid_from": "2036-07-01"}, "valid_to"),
    ("/v1/events/{id}/races", {"stables": [None]}, "stables"),
    ("/v1/events/{id}/races", {"horses": ["El Moro", "el moro"]}, "horses"),
    ("/v1/suspensions", {"subject": None}, "subject"),
    ("/v1/suspensions", {"scope": "GLOBAL"}, "subject"),
    ("/v1/races/{id}/market", {"kind": "GANA"}, "giver"),
    ("/v1/races/{id}/market", {"kind": "GANA", "giver": None}, "line"),
    ("/v1/races/{id}/market", {"giver": None}, "giver"),
    ("/v1/races/{id}/market", {"giver": str(uuid4())}, "giver"),
    ("/v1/races/{id}/market", {"line": None}, "line"),
    ("/v1/races/{id}/market", {"runners": [str(uuid4()), str(uuid4())]}, "runners"),
    ("/v1/races/{id}/market", {"min_stake": "100.01"}, "min_stake"),
    ("/v1/races/{id}/market", {"max_exposure": "99.99"}, "max_exposure"),
    ("/v1/races/{id}/results", {"margin": None}, "margin"),
    ("/v1/races/{id}/results", {"winner": None}, "margin"),
    ("/v1/offers", {"runner_id": str(uuid4())}, "runner_id"),
    ("/v1/offers", {"risk": 4, "win": 4}, "risk"),
    ("/v1/offers", {"stake": "100.01"}, "stake"),
    ("/v1/offers", {"currency": "USD"}, "currency"),
    ("/v1/offers", {"min_fill": "100.05"}, "min_fill"),
    ("/v1/offers", {"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ("/v1/offers", {"fill_or_kill": True, "challenges": str(uuid4())}, "challenges"),
)


async def test_no_fields_are_taken_that_do_not_go_together(scene: Scene) -> None:
    """None is dropped or put right silently: terms are what was asked for, or there are none."""
    routes = {route.path: route for route in WITH_BODY}
    for path, changes, field in TOGETHER:
        route = routes[path]
        assert route.body is not None
        wrong = written({**scene.bodies()[route.body], **changes})
        assert not await scene.taken(route, [(scene.path(route), wrong, field)])


QUERIES = (
    "",
    "%00",
    "a%00",
    "%ff",
    "é",
    "x" * 1000,
    "-1",
    "0x1",
    "1e2",
    "NaN",
    "1.5",
    str(10**20),
    str(2**63),
    "%ED%A0%80",
)


@pytest.mark.parametrize("route", WITH_QUERY, ids=name)
async def test_no_field_of_a_query_takes_what_nobody_can_mean(scene: Scene, route: Route) -> None:
    assert route.query is not None
    path, fields = scene.path(route), route.query.model_fields
    wrong = [(f"{path}?{field}={value}", b"", field) for field in fields for value in QUERIES]
    wrong += [(f"{path}?{field}=1&{field}=1", b"", field) for field in fields]
    assert not await scene.taken(route, [*wrong, (f"{path}?nothing=1", b"", "nothing")])


IDS = (
    "none",
    "%00",
    "%ff",
    "é",
    "0" * 33,
    "g" * 32,
    "x" * 5000,
    "-1",
    "null",
    quote("' OR 1=1 --"),
    "%ED%A0%80",
)
READ_BY_ANYBODY = {"/v1/transitions/{id}"}
"""Nothing has happened to what is not there: an empty list."""


@pytest.mark.parametrize("route", WITH_IDS, ids=name)
async def test_no_address_takes_what_is_not_there(scene: Scene, route: Route) -> None:
    raw = b"" if route.body is None else written(scene.bodies()[route.body])
    fields = re.findall(r"\{([^}]+)\}", route.path)
    wrong = [(scene.path(route, **{field: value}), raw, field) for field in fields for value in IDS]
    assert not await scene.taken(route, wrong)
    before = await scene.state()
    for field in fields:
        status, told = await scene.ask(route, scene.path(route, **{field: str(uuid4())}), raw)
        assert status == (200 if route.path in READ_BY_ANYBODY else 404), told
    assert await scene.state() == before


@pytest.mark.parametrize("route", [route for route in ROUTES if route.idempotent], ids=name)
async def test_no_key_is_one_that_nobody_could_repeat(scene: Scene, route: Route) -> None:
    before, person = await scene.state(), scene.people[min(route.roles)]
    raw = b"" if route.body is None else written(scene.bodies()[route.body])
    for key in (None, "", " ", "k" * 256):
        headers = {"Authorization": f"Bearer {person.token}", "Content-Type": "application/json"}
        headers |= {} if key is None else {"Idempotency-Key": key}
        async with scene.client.request(route.method, scene.path(route), data=raw, headers=headers) as answer:
            told = await answer.json(content_type=None)
        assert (answer.status, told.get("field")) == (400, "Idempotency-Key"), (key, told)
    assert await scene.state() == before


async def test_what_was_wrong_is_all_that_was_wrong(scene: Scene) -> None:
    """Last of all, since much of it happens: the examples that the others change are taken as they are."""
    for route in WITH_BODY:
        assert route.body is not None
        status, told = await scene.ask(route, scene.path(route), written(scene.bodies()[route.body]))
        assert status in {route.status, 403, 404, 409}, (name(route), told)
