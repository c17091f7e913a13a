"""Betting over HTTP: the real application, identity's tokens, a small ledger."""

import asyncio
import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from services.betting.tests.fake_ledger import FakeIdentity, FakeLedger, Mood

Json = dict[str, Any]
_keys = count(1)


@dataclass
class Person:
    """Somebody with a token."""

    client: TestClient[Any, Any]
    token: str
    id: UUID

    async def send(
        self, method: str, path: str, body: Json | None = None, *, key: str | None = None
    ) -> ClientResponse:
        headers = {"Authorization": f"Bearer {self.token}"}
        if method != "GET":
            headers["Idempotency-Key"] = key or f"http-{next(_keys)}"
        return await self.client.request(method, path, json=body, headers=headers)

    async def ok(self, method: str, path: str, body: Json | None = None, *, key: str | None = None) -> Json:
        answer = await self.send(method, path, body, key=key)
        told: Json = await answer.json()
        assert answer.status < 300, told
        return told


@dataclass
class Day:
    """A published event with one race, and people around it."""

    client: TestClient[Any, Any]
    ledger: FakeLedger
    identity: FakeIdentity
    judges: tuple[Person, Person] = field(init=False)
    race: Json = field(init=False)
    market: Json = field(init=False)

    async def begin(self) -> "Day":
        self.judges = (self.person("official"), self.person("official"))
        judge = self.judges[0]
        await judge.ok("POST", "/v1/permits", PERMIT)
        event = await judge.ok("POST", "/v1/events", EVENT)
        self.race = await judge.ok("POST", f"/v1/events/{event['id']}/races", RACE)
        await judge.ok("POST", f"/v1/events/{event['id']}/publish", {})
        self.market = await judge.ok("POST", f"/v1/races/{self.race['id']}/market", MARKET)
        return self

    def person(self, role: str = "bettor", pesos: str = "1000.00") -> Person:
        id = uuid4()
        self.ledger.books.fund(id, pesos)
        return Person(self.client, self.identity.token(id, role), id)

    def offer(self, horse: int = 0, **changes: object) -> Json:
        return {
            "market_id": self.market["id"],
            "market_version": self.market["version"],
            "runner_id": self.race["runners"][horse]["id"],
            "risk": 5,
            "win": 4,
            "stake": "100.00",
            "currency": "MXN",
            **changes,
        }


async def eventually(look: Callable[[], Awaitable[Json]], status: str) -> None:
    """Look until it has that status, for ten seconds at most."""
    for _ in range(200):
        if (await look())["status"] == status:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"it never became {status}")


EVENT = {
    "name": "Junta de mayo",
    "venue": "La Herradura",
    "permit": "P-1",
    "starts_at": "2036-06-07T18:00:00Z",
    "objection_seconds": 0,
}
PERMIT = {
    "number": "P-1", "venue": "La Herradura", "issuer": "SEGOB", "valid_from": "2036-06-01", "valid_to": "2036-06-30",
}  # fmt: skip
RACE = {
    "number": 1,
    "distance_m": 300,
    "horses": ["El Moro", "La Chula"],
    "starts_at": "2036-06-07T18:10:00Z",
}
MARKET = {"commission_bps": 300, "tie_rule": "PUSH"}


@pytest.fixture
async def day(client: TestClient[Any, Any], ledger: FakeLedger, identity: FakeIdentity) -> Day:
    return await Day(client, ledger, identity).begin()


async def test_a_day(day: Day) -> None:
    ana, beto = day.person(), day.person()
    made = await ana.ok("POST", "/v1/offers", day.offer(stake="500.00"))
    assert (made["status"], made["remaining"], made["fills"]) == ("OPEN", "500.00", [])
    book = (await beto.ok("GET", f"/v1/markets/{day.market['id']}"))["book"]
    assert book[0] == {
        "runner_id": day.race["runners"][0]["id"], "levels": [{"risk": 5, "win": 4, "amount": "500.00"}],
    }  # fmt: skip
    assert book[1]["levels"] == []

    taken = await beto.ok("POST", "/v1/offers", day.offer(1, risk=1, win=1, stake="200.00"))
    assert (taken["status"], taken["matched"]) == ("FILLED", "200.00")
    assert [(fill["risk"], fill["win"], fill["stake"], fill["pot"]) for fill in taken["fills"]] == [
        (4, 5, "200.00", "450.00")
    ]
    seen = await ana.ok("GET", f"/v1/offers/{made['id']}")
    assert (seen["status"], seen["matched"], seen["fills"][0]["stake"]) == ("PARTIAL", "250.00", "250.00")

    cancelled = await ana.ok("DELETE", f"/v1/offers/{made['id']}")
    assert (cancelled["status"], cancelled["cancelled"]) == ("CANCELLED", "250.00")
    (bet,) = (await beto.ok("GET", "/v1/bets"))["items"]
    assert (bet["stake"], bet["verdict"], bet["offer_id"]) == ("200.00", None, taken["id"])
    closed = await day.judges[0].ok("POST", f"/v1/markets/{day.market['id']}/close", {})
    assert (closed["status"], closed["version"], closed["escrow"]) == ("CLOSED", 2, "450.00")


async def test_the_programme_is_shown_once_published(day: Day) -> None:
    judge, ana = day.judges[0], day.person()
    draft = await judge.ok("POST", "/v1/events", {**EVENT, "name": "Borrador"})
    names = [event["name"] for event in (await ana.ok("GET", "/v1/events"))["items"]]
    assert names == ["Junta de mayo"]
    assert len((await judge.ok("GET", "/v1/events"))["items"]) == 2
    assert (await ana.send("GET", f"/v1/events/{draft['id']}")).status == 404
    card = await ana.ok("GET", f"/v1/events/{day.race['event_id']}")
    assert card["event"]["status"] == "PUBLISHED"
    assert card["races"][0]["market"]["terms_hash"] == day.market["terms_hash"]


async def test_a_market_without_bets_settles_by_itself_and_its_result_is_shown(day: Day) -> None:
    await day.judges[0].ok("POST", f"/v1/markets/{day.market['id']}/close", {})
    seen = {
        "winner": day.race["runners"][0]["id"], "margin": "cabeza", "off_time": "2036-06-07T18:10:05Z",
        "photo_sha256": "ab" * 32,
    }  # fmt: skip
    first = await day.judges[0].ok("POST", f"/v1/races/{day.race['id']}/results", seen)
    assert (first["status"], first["result"]) == ("DECLARED", None)
    await day.judges[1].ok("POST", f"/v1/races/{day.race['id']}/results", seen)
    ana = day.person()
    await eventually(lambda: ana.ok("GET", f"/v1/markets/{day.market['id']}"), "SETTLED")
    race = (await ana.ok("GET", f"/v1/events/{day.race['event_id']}"))["races"][0]
    assert (race["status"], race["result"]["winner"]) == ("FINAL", seen["winner"])


async def test_a_hold_without_an_answer_is_pending_until_the_sweeper_has_it(day: Day) -> None:
    ana, wanted = day.person(), day.offer()
    day.ledger.mood = Mood.MUTE
    answer = await ana.send("POST", "/v1/offers", wanted, key="tap")
    problem = await answer.json()
    assert (answer.status, problem["type"]) == (409, "/problems/offer-pending")
    assert int(answer.headers["Retry-After"]) >= 1
    day.ledger.mood = Mood.WELL
    await eventually(lambda: ana.ok("GET", f"/v1/offers/{problem['offer']}"), "OPEN")
    answer = await ana.send("POST", "/v1/offers", wanted, key="tap")
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert ((await answer.json())["id"], answer.status) == (problem["offer"], 201)
    assert day.ledger.books.of(ana.id)["held"] == "100.00"


async def test_the_ledgers_reason_reaches_the_bettor(day: Day) -> None:
    poor = day.person(pesos="99.99")
    first = await poor.send("POST", "/v1/offers", day.offer(), key="tap")
    again = await poor.send("POST", "/v1/offers", day.offer(), key="tap")
    for answer in (first, again):
        problem = await answer.json()
        assert (answer.status, problem["type"]) == (422, "/problems/insufficient-funds")
        assert problem["reason"] == "insufficient-funds"
        assert answer.content_type == "application/problem+json"
    assert again.headers["Idempotent-Replayed"] == "true"


BEYOND = "9999-12-31T23:59:59-12:00"
"""A moment that has no date in UTC."""

BAD_OFFERS: tuple[tuple[Json, int, str | None], ...] = (
    ({"stake": 100.5}, 400, "stake"),
    ({"stake": 100}, 400, "stake"),
    ({"stake": "100.001"}, 400, "stake"),
    ({"stake": "0.00"}, 400, "stake"),
    ({"stake": "-5.00"}, 400, "stake"),
    ({"stake": "100.01"}, 400, "stake"),
    ({"stake": "0.50"}, 400, "stake"),
    ({"stake": "100000000.00"}, 400, "stake"),
    ({"currency": "USD"}, 400, "currency"),
    ({"currency": "QQQ"}, 400, "stake"),
    ({"risk": 6, "win": 5}, 400, "risk"),
    ({"risk": 5.0}, 400, "risk"),
    ({"risk": "5"}, 400, "risk"),
    ({"market_id": "none"}, 400, "market_id"),
    ({"market_id": str(uuid4())}, 404, "market_id"),
    ({"runner_id": str(uuid4())}, 400, "runner_id"),
    ({"market_version": 2}, 409, "market_version"),
    ({"terms_hash": "00" * 32}, 409, "terms_hash"),
    ({"bonus": "1.00"}, 400, "bonus"),
    ({"expires_at": BEYOND}, 400, "expires_at"),
    ({"expires_at": "2036-06-07T18:00:00"}, 400, "expires_at"),
)


async def test_bad_offers_are_told_what_is_wrong_and_change_nothing(day: Day) -> None:
    ana = day.person()
    for changes, status, named in BAD_OFFERS:
        answer = await ana.send("POST", "/v1/offers", {**day.offer(), **changes})
        problem = await answer.json()
        assert (answer.status, problem.get("field")) == (status, named), (changes, problem)
        assert answer.content_type == "application/problem+json"
    assert day.ledger.requests == 0
    assert (await ana.ok("GET", "/v1/offers"))["items"] == []


async def test_everyone_does_only_what_is_theirs(day: Day) -> None:
    ana, beto, judge = day.person(), day.person(), day.judges[0]
    made = await ana.ok("POST", "/v1/offers", day.offer())
    for person, method, path, status in (
        (beto, "GET", f"/v1/offers/{made['id']}", 404),
        (beto, "DELETE", f"/v1/offers/{made['id']}", 404),
        (judge, "POST", "/v1/offers", 403),
        (judge, "GET", "/v1/bets", 403),
        (ana, "POST", "/v1/events", 403),
        (ana, "POST", f"/v1/markets/{day.market['id']}/close", 403),
        (ana, "POST", f"/v1/races/{day.race['id']}/results", 403),
        (ana, "POST", f"/v1/races/{day.race['id']}/scratch", 403),
    ):
        answer = await person.send(method, path, {})
        assert answer.status == status, (method, path)
    nobody = await day.client.get("/v1/offers")
    assert nobody.status == 401
    keyless = await day.client.post(
        "/v1/offers", json=day.offer(), headers={"Authorization": f"Bearer {ana.token}"}
    )
    assert keyless.status == 400


async def test_a_key_stands_for_one_request(day: Day) -> None:
    ana, judge = day.person(), day.judges[0]
    first = await ana.ok("POST", "/v1/offers", day.offer(), key="tap")
    same = await ana.ok("POST", "/v1/offers", day.offer(stake="100.0"), key="tap")
    assert same == first
    other = await ana.send("POST", "/v1/offers", day.offer(stake="105.00"), key="tap")
    assert (other.status, (await other.json())["type"]) == (422, "/problems/idempotency-key-reused")
    path, reason = f"/v1/races/{day.race['id']}/scratch", {"reason": "cojea" * 100}
    scratched = await judge.ok("POST", path, reason, key="once")
    assert await judge.ok("POST", path, reason, key="once") == scratched
    assert (await judge.send("POST", path, reason)).status == 409


async def test_lists_come_in_pages(day: Day) -> None:
    ana, beto = day.person(), day.person()
    placed = [
        (await ana.ok("POST", "/v1/offers", day.offer(stake="5.00", repeat=True)))["id"] for _ in range(5)
    ]
    await beto.ok("POST", "/v1/offers", day.offer(1, risk=4, win=5, stake="20.00"))
    for path, person, expected in (
        ("/v1/offers", ana, placed[::-1]),
        ("/v1/bets", ana, None),
        ("/v1/bets", beto, None),
    ):
        found: list[str] = []
        page = await person.ok("GET", f"{path}?limit=2")
        while True:
            found += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            page = await person.ok("GET", f"{path}?limit=2&after={page['next']}")
        assert len(set(found)) == len(found) == 5
        assert expected is None or found == expected
    beyond = urlsafe_b64encode(f"{BEYOND} {uuid4()}".encode()).decode()
    for wrong in (
        "after=xx",
        "limit=0",
        "limit=101",
        "limit=a",
        "nothing=1",
        "after=MjAyNi0wNi0wNyB4",
        f"after={beyond}",
    ):
        assert (await ana.send("GET", f"/v1/offers?{wrong}")).status == 400, wrong


async def test_other_things_people_get_wrong(day: Day) -> None:
    judge, ana = day.judges[0], day.person()
    event, race = day.race["event_id"], day.race["id"]
    seen = {"winner": None, "off_time": "2036-06-07T18:10:05Z", "photo_sha256": "ab" * 32}
    for path, body, status in (
        (f"/v1/events/{event}/races", RACE, 409),
        (f"/v1/events/{event}/races", {**RACE, "number": 2, "horses": ["El Moro", "el moro"]}, 400),
        (f"/v1/events/{event}/races", {**RACE, "number": 2, "horses": ["uno", "dos", "tres"]}, 201),
        (f"/v1/events/{uuid4()}/races", RACE, 404),
        (f"/v1/events/{event}/publish", {}, 409),
        ("/v1/events", {**EVENT, "permit": " "}, 400),
        ("/v1/events", {**EVENT, "starts_at": "2026-06-07T18:00:00"}, 400),
        ("/v1/events", {**EVENT, "starts_at": BEYOND}, 400),
        ("/v1/events", {**EVENT, "starts_at": "9999-12-31T00:00:00Z"}, 400),
        (f"/v1/events/{event}/races", {**RACE, "number": 3, "starts_at": BEYOND}, 400),
        (f"/v1/races/{race}/postpone", {"starts_at": BEYOND, "reason": "rain"}, 400),
        (f"/v1/races/{race}/results", {**seen, "off_time": "0001-01-01T00:00:01Z"}, 400),
        (f"/v1/races/{race}/market", MARKET, 409),
        (f"/v1/races/{race}/market", {**MARKET, "commission_bps": 5000}, 400),
        (f"/v1/races/{race}/market", {**MARKET, "tie_rule": "SPLIT"}, 400),
        (f"/v1/races/{race}/market", {**MARKET, "min_stake": "0.10"}, 400),
        (f"/v1/races/{race}/market", {**MARKET, "currency": "USD"}, 400),
        (f"/v1/races/{race}/market", {**MARKET, "max_stake": "9999999999999999"}, 400),
        (f"/v1/races/{race}/market", {**MARKET, "max_exposure": "9999999999999999"}, 400),
        (f"/v1/events/{event}/races", {**RACE, "number": 3, "stables": [str(uuid4()), None]}, 404),
        (f"/v1/races/{race}/results", seen, 409),
        (f"/v1/races/{race}/results", {**seen, "margin": "faja"}, 400),
        (f"/v1/races/{race}/results", {**seen, "photo_sha256": "xx"}, 400),
        (f"/v1/races/{race}/scratch", {"reason": ""}, 400),
        (f"/v1/markets/{uuid4()}/close", {}, 404),
        ("/v1/markets/none/close", {}, 400),
    ):
        answer = await judge.send("POST", path, body)
        assert answer.status == status, (path, body, await answer.text())
    assert (await ana.send("GET", f"/v1/markets/{uuid4()}")).status == 404


async def test_the_service_shows_itself(day: Day) -> None:
    assert (await day.client.get("/healthz")).status == 200
    assert "betting_offers_finished_total" in await (await day.client.get("/metrics")).text()
    document = await (await day.client.get("/openapi.json")).json()
    assert "/v1/offers/{id}" in document["paths"]
    checks = (await (await day.client.get("/readyz")).json())["checks"]
    assert set(checks) == {"database", "migrations"}
    assert (checks["database"], checks["migrations"]) == ("ok", "ok")


async def test_a_card_from_a_file(day: Day) -> None:
    judge = day.judges[0]
    path = f"/v1/events/{day.race['event_id']}/card"
    await judge.ok("POST", "/v1/stables", {"name": "Cuadra Reyna"})
    header = "number,distance_m,starts_at,horses,stables\n"
    bad = await judge.send(
        "POST", path, {"content": header + "7,300,soon,a|b,\n8,300,2036-06-07T19:00:00Z,a|b,\n"}
    )
    problem = await bad.json()
    assert (bad.status, problem["type"], problem["field"]) == (422, "/problems/card-invalid", "content")
    assert problem["faults"] == 1
    good = header + "7,300,2036-06-07T18:50:00Z,a|b,cuadra reyna|\n8,300,2036-06-07T19:00:00Z,c|d|e,\n"
    races = (await judge.ok("POST", path, {"content": good}, key="card"))["races"]
    assert [(race["number"], len(race["runners"])) for race in races] == [(7, 2), (8, 3)]
    assert races[0]["runners"][0]["stable"] is not None
    assert (await judge.ok("POST", path, {"content": good}, key="card"))["races"] == races
    unknown = header + "9,300,2036-06-07T18:50:00Z,a|b,Nadie|\n7,300,2036-06-07T18:50:00Z,a|b,\n"
    told = await (await judge.send("POST", path, {"content": unknown})).json()
    assert [(row["line"], row["field"]) for row in json.loads(told["report"])] == [
        (2, "stables"),
        (3, "number"),
    ]
    pair = {**MARKET, "runners": [races[1]["runners"][0]["id"], races[1]["runners"][2]["id"]]}
    market = await judge.ok("POST", f"/v1/races/{races[1]['id']}/market", {**pair, "draft": True})
    assert (market["status"], market["version"]) == ("DRAFT", 0)
    assert (await judge.send("POST", f"/v1/races/{races[1]['id']}/market", MARKET)).status == 400
    opened = await judge.ok("POST", f"/v1/markets/{market['id']}/open", {})
    assert (opened["status"], opened["version"]) == ("OPEN", 1)


async def test_an_event_without_a_permit_is_not_published(day: Day) -> None:
    judge = day.judges[0]
    for changes in ({"permit": "P-2"}, {"venue": "Otro"}, {"starts_at": "2036-07-01T00:30:00Z"}):
        event = await judge.ok("POST", "/v1/events", {**EVENT, **changes})
        answer = await judge.send("POST", f"/v1/events/{event['id']}/publish", {})
        assert (answer.status, (await answer.json())["type"]) == (422, "/problems/permit-missing"), changes
    carril = await judge.ok("POST", "/v1/carriles", {"name": "La Herradura", "state": "SON", "length_m": 250})
    event = await judge.ok("POST", "/v1/events", {**EVENT, "venue": "ignored", "carril_id": carril["id"]})
    assert (event["venue"], event["state"], event["day"]) == ("La Herradura", "SON", "2036-06-07")
    assert (
        await judge.send("POST", f"/v1/events/{event['id']}/races", RACE)
    ).status == 400  # longer than the track
    assert [each["name"] for each in (await judge.ok("GET", "/v1/carriles"))["items"]] == ["La Herradura"]


async def test_receipt_exposure_and_profit(day: Day) -> None:
    ana, beto = day.person(), day.person()
    made = await ana.ok("POST", "/v1/offers", day.offer(stake="100.00"))
    await beto.ok("POST", "/v1/offers", day.offer(1, risk=4, win=5, stake="40.00"))
    receipt = await ana.ok("GET", f"/v1/offers/{made['id']}/receipt")
    assert hashlib.sha256(receipt["record"].encode()).hexdigest() == receipt["sha256"]
    assert (await beto.send("GET", f"/v1/offers/{made['id']}/receipt")).status == 404
    exposure = await ana.ok("GET", "/v1/exposure")
    (market,) = exposure["markets"]
    assert (exposure["at_risk"], market["if_a"], market["if_b"]) == ("100.00", "40.00", "-50.00")
    assert (await ana.ok("GET", "/v1/profits"))["items"] == []
    history = (await ana.ok("GET", f"/v1/markets/{day.market['id']}/history"))["items"]
    assert [change["book"][0]["levels"][0]["amount"] for change in history] == ["100.00", "50.00"]
    moves = (await day.judges[0].ok("GET", f"/v1/transitions/{made['id']}"))["items"]
    assert [(move["was"], move["became"]) for move in moves] == [("PENDING", "OPEN"), ("OPEN", "PARTIAL")]
    assert (await ana.send("GET", f"/v1/transitions/{made['id']}")).status == 403


async def test_everything_is_suspended_and_lifted(day: Day) -> None:
    ana, admin = day.person(), day.person("admin")
    suspension = await admin.ok("POST", "/v1/suspensions", {"scope": "GLOBAL", "reason": "storm"})
    refused = await ana.send("POST", "/v1/offers", day.offer())
    assert (refused.status, (await refused.json())["type"]) == (409, "/problems/market-not-open")
    assert (await admin.send("POST", "/v1/suspensions", {"scope": "GLOBAL", "reason": "x"})).status == 409
    assert (await admin.send("POST", "/v1/suspensions", {"scope": "USER", "reason": "x"})).status == 400
    await admin.ok("POST", f"/v1/suspensions/{suspension['id']}/lift", {"reason": "over"})
    stale = await ana.send("POST", "/v1/offers", day.offer())
    assert (stale.status, (await stale.json())["field"]) == (409, "market_version")
    assert (await ana.ok("POST", "/v1/offers", day.offer(market_version=3)))["status"] == "OPEN"
