"""Every public route by every role, on own and on foreign objects, on the running platform.

The table that is walked is the one that `docs/authorization.md` shows. Each question is asked twice: of the
gateway, and past it of the service itself with a token identity made for the session.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from common.roles import Role
from common.testing import Stack
from gateway.domain import Access, Owner, PublicRoute
from gateway.routes import ROUTES
from yarl import URL

from tools.authorization import PEOPLE, admitted
from tools.docs import DOCS, documents
from tools.raceday.card import read_card
from tools.raceday.client import App, Tally
from tools.raceday.day import Day, home_clabe
from tools.raceday.faults import nothing
from tools.raceday.people import person
from tools.raceday.plan import Plan
from tools.raceday.staff import create, officials

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESTRUCTIVE = {"/v1/logout", "/v1/sessions", "/v1/me/close"}
"""Asked of those who must not; whoever may would lose the session that the next question needs."""
FIRST = 700
"""The first of this file's bettors: nobody of the race day, whose books are compared to the cent."""
SIGNED_OTHERWISE = {"/v1/webhooks/cards"}
"""Public, for a machine that signs what it sends."""
NOT_ADMITTED = {"/problems/role-forbidden", "/problems/forbidden"}
NOBODY = {"/problems/unauthenticated", "/problems/session-ended"}

Json = dict[str, Any]


@dataclass
class Cast:
    """Who asks: a session for each role, a bettor whose objects are asked for, and those objects."""

    running: Stack
    http: aiohttp.ClientSession
    sessions: dict[Role, str] = field(default_factory=dict)
    bettor: App | None = None
    mine: dict[str, str] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, base: str, method: str, path: str, credential: str | None, *, signer: App | None = None
    ) -> tuple[int, str]:
        """The status, and the problem's type if it is one."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        body = b"{}" if method in {"POST", "PUT", "PATCH"} else b""
        url = URL(base + path, encoded=True)
        if signer is not None:
            headers = signer.signed(method, url, headers, body)
        async with self.http.request(method, url, data=body or None, headers=headers) as answer:
            told = await answer.json(content_type=None) if "json" in answer.content_type else {}
            return answer.status, str((told or {}).get("type", "")) if answer.status >= 400 else ""

    async def token(self, role: Role, audience: str) -> str:
        wanted = {"session": self.sessions[role], "audience": audience}
        url = f"{self.running.urls['identity']}/internal/token"
        async with self.http.post(url, json=wanted) as answer:
            token: str = (await answer.json())["token"]
            return token


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast(running: Stack) -> AsyncIterator[Cast]:
    """Two bettors with money, offers, deposits and withdrawals; one of each role of the staff."""
    stack: Json = {**running.model_dump(mode="json"), "name": ""}
    card = read_card()
    day = Day(
        running.urls["gateway"],
        running.urls["rail"],
        replace(card, races=card.races[:1]),
        Plan({}, {}),
        f"authorization-{uuid4()}",
        lambda _: None,
        nothing,
    )
    async with aiohttp.ClientSession() as http:
        await day.prepare(http, 2, await officials(stack, 2), first=FIRST)
        cast = Cast(running, http)
        cast.bettor = day.bettors[FIRST]
        cast.sessions[Role.BETTOR] = day.bettors[FIRST].session
        cast.sessions[Role.OFFICIAL] = day.officials[0].session
        for role in (Role.CASHIER, Role.AUDITOR, Role.ADMIN):
            # Beyond the people of the other tests; a document is one person's.
            number = 900 + PEOPLE.index(role)
            app = App(http, running.urls["gateway"], Tally())
            await app.login(await create(stack, replace(person(number, role), email=f"{role}@e2e.mx"), role))
            cast.sessions[role] = app.session
        for bettor, objects in ((FIRST, cast.mine), (FIRST + 1, cast.theirs)):
            objects |= await _objects(day, bettor)
        yield cast


async def _objects(day: Day, number: int) -> dict[str, str]:
    """One of everything that a bettor can have."""
    app = day.bettors[number]
    (market,), (race,) = day.markets.values(), day.races.values()
    offer = {
        "market_id": market["id"],
        "market_version": market["version"],
        "runner_id": race["runners"][0]["id"],
        "risk": 1,
        "win": 1,
        "stake": "100.00",
        "currency": "MXN",
    }
    who = person(number)
    withdrawal = {
        "clabe": home_clabe(number),
        "beneficiary_name": who.full_name,
        "amount": "10.00",
        "currency": "MXN",
    }
    placed = await app.post("/v1/offers", offer, str(uuid4()))
    taken = await app.post("/v1/withdrawals", withdrawal, str(uuid4()))
    card = {"amount": "10.00", "currency": "MXN", "card_token": "tok_visa"}
    charged = await app.post("/v1/card-payments", card, str(uuid4()))
    deposits = (await app.get("/v1/deposits"))["items"]
    entry = (await app.get("/v1/wallet/statement"))["lines"][0]["entry"]
    await app.get(f"/v1/wallet/entries/{entry}/proof")  # asks again until it is sealed
    devices = (await app.get("/v1/devices"))["items"]
    sessions = (await app.get("/v1/sessions"))["items"]
    return {
        "offer_id": placed["id"],
        "withdrawal_id": taken["id"],
        "payment_id": charged["id"],
        "deposit_id": deposits[0]["id"],
        "device_id": devices[0]["id"],
        "session_id": sessions[0]["id"],
        "id": entry,
    }


def filled(row: PublicRoute, objects: dict[str, str]) -> str:
    """The row's address with these ids, or with ids of nothing."""
    return re.sub(r"\{(\w+)\}", lambda name: objects.get(name[1], str(uuid4())), row.path)


async def test_the_page_is_what_the_routes_say() -> None:
    path = DOCS / "authorization.md"
    assert path.read_text(encoding="utf-8") == documents()[path]


async def test_every_route_admits_who_the_table_says_and_nobody_else(cast: Cast) -> None:
    wrong: list[object] = []
    for row in ROUTES:
        base, path = cast.running.urls["gateway"], filled(row, {})
        if row.access is Access.SESSION:
            status, problem = await cast.ask(base, row.method, path, None)
            if (status, problem in NOBODY) != (401, True):
                wrong.append((row.method, row.path, "nobody", status, problem))
        for role in PEOPLE:
            may = row.access is Access.PUBLIC or role in admitted(row)
            if may and row.path in DESTRUCTIVE and row.method != "GET":
                continue
            status, problem = await cast.ask(base, row.method, path, cast.sessions[role])
            if may and status == 401 and (row.signed or row.path in SIGNED_OTHERWISE):
                assert problem not in NOBODY
                continue
            refused = problem in NOT_ADMITTED or problem in NOBODY or problem == "/problems/no-such-route"
            if refused == may or status >= 500:
                wrong.append((row.method, row.path, role.value, status, problem))
    assert wrong == []


async def test_the_services_themselves_refuse_who_got_past_the_gateway(cast: Cast) -> None:
    wrong: list[object] = []
    for row in ROUTES:
        if row.access is Access.PUBLIC:
            continue
        base, path = cast.running.urls[row.service.value], filled(row, {})
        status, problem = await cast.ask(base, row.method, path, None)
        if status != 401:
            wrong.append((row.method, row.path, "nobody", status, problem))
        # A session is no token: what a stolen one opens is the gateway alone.
        status, problem = await cast.ask(base, row.method, path, cast.sessions[Role.BETTOR])
        if status != 401:
            wrong.append((row.method, row.path, "a session", status, problem))
        for role in PEOPLE:
            if role in admitted(row):
                continue
            token = await cast.token(role, row.service.value)
            status, problem = await cast.ask(base, row.method, path, token)
            if (status, problem) not in {(403, each) for each in NOT_ADMITTED}:
                wrong.append((row.method, row.path, role.value, status, problem))
    assert wrong == []


OWN = [row for row in ROUTES if row.owner is Owner.CALLER and "{" in row.path]


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
async def test_what_belongs_to_somebody_else_is_not_there(cast: Cast, row: PublicRoute) -> None:
    names = re.findall(r"\{(\w+)\}", row.path)
    assert set(names) <= set(cast.theirs), "this test must make one of these objects too"
    signer = cast.bettor if row.signed else None
    session, base = cast.sessions[Role.BETTOR], cast.running.urls["gateway"]
    status, _ = await cast.ask(base, row.method, filled(row, cast.theirs), session, signer=signer)
    # A body is looked at before the object is: an empty one is refused for what it lacks.
    assert status == 404 or (row.method == "POST" and status == 400)
    if row.method == "GET":
        status, _ = await cast.ask(base, row.method, filled(row, cast.mine), session)
        assert status == 200


async def test_a_session_ended_elsewhere_opens_nothing_within_a_moment(cast: Cast) -> None:
    """From one session to the other, through Redis, the outbox, the relay, the broker and the gateway's memory."""
    http, running = cast.http, cast.running
    who, apps = person(FIRST + 1), [App(http, running.urls["gateway"], Tally()) for _ in range(2)]
    for app in apps:
        await app.login(who)
    base = running.urls["gateway"]
    assert (await cast.ask(base, "GET", "/v1/wallet", apps[0].session))[0] == 200
    listed = (await apps[0].get("/v1/sessions"))["items"]
    current = next(each["id"] for each in listed if each["current"])
    token = {"session": apps[1].session, "audience": "identity"}
    async with http.post(f"{running.urls['identity']}/internal/token", json=token) as answer:
        internal = (await answer.json())["token"]
    status, _ = await cast.ask(running.urls["identity"], "DELETE", f"/v1/sessions/{current}", internal)
    assert status == 204
    async with asyncio.timeout(15):
        while (await cast.ask(base, "GET", "/v1/wallet", apps[0].session))[0] != 401:
            await asyncio.sleep(0.05)
