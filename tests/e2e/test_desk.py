"""Two cashiers and what they decide, while one of them is dismissed or changes their password."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from uuid import uuid4

import aiohttp
from common.testing import Stack

from tools.raceday.client import App, Refusal, Tally
from tools.raceday.people import Person, person
from tools.raceday.staff import create

SUSPENDED_WITHIN_SECONDS = 60


async def _appointed(
    running: Stack, http: aiohttp.ClientSession, role: str, number: int
) -> tuple[App, Person]:
    who = await create({**running.model_dump(mode="json"), "name": ""}, person(number, role), role)
    app = App(http, running.urls["gateway"], Tally())
    await app.login(who)
    return app, who


async def _in_suspense(running: Stack, http: aiohttp.ClientSession, bettor: App, cashier: App) -> str:
    """A case about money that another has sent to a bettor's CLABE."""
    amount = f"{secrets.randbelow(900) + 100}.{secrets.randbelow(90) + 10}"
    transfer = {
        "beneficiary_clabe": (await bettor.get("/v1/clabe"))["clabe"],
        "ordering_clabe": "012180000000000002",
        "ordering_name": "Otra Persona",
        "amount": amount,
    }
    async with http.post(f"{running.urls['rail']}/transfers", json=transfer) as answer:
        sent = await answer.json()
    claim = {
        "tracking_key": sent["clave"],
        "operation_date": sent["operation_date"],
        "sender_institution": sent["institution"],
        "amount": amount,
        "currency": "MXN",
    }
    await bettor.post("/v1/deposits", claim, str(uuid4()))
    async with asyncio.timeout(SUSPENDED_WITHIN_SECONDS):
        while True:
            page = await cashier.get("/v1/cashier/cases?subject=arrival&limit=200")
            for case in page["items"]:
                if case["amount"] == amount:
                    return str(case["id"])
            await asyncio.sleep(0.5)


async def _propose(cashier: App, case: str) -> dict[str, Any]:
    wanted = {"decision": "return", "note": "another person sent it"}
    return await cashier.post(f"/v1/cashier/cases/{case}/proposal", wanted, str(uuid4()))


async def _approve(cashier: App, case: str, proposed: dict[str, Any]) -> str:
    """`DECIDED`, or the kind of refusal."""
    seen = {"decision": "return", "proposal": proposed["proposal"]}
    try:
        path = f"/v1/cashier/cases/{case}/approval"
        return str((await cashier.post(path, seen, str(uuid4())))["status"])
    except Refusal as refusal:
        return refusal.slug


async def _dismissed(first: App, second: App, who: str) -> None:
    path = f"/v1/staff/{who}/dismissal"
    asked = await first.post(path, {"reason": "gone"}, str(uuid4()))
    await second.post(f"/v1/approvals/{asked['id']}/approve", {}, str(uuid4()))


async def test_a_proposal_falls_with_who_made_it(running: Stack) -> None:
    """Dismissed, or not who they were: the password was changed since, as one does whose session was stolen."""
    base = 5000 + 10 * secrets.randbelow(400)
    async with aiohttp.ClientSession() as http:
        (going, _), (stays, who), (third, _) = [
            await _appointed(running, http, "cashier", base + each) for each in range(3)
        ]
        first, _ = await _appointed(running, http, "admin", base + 3)
        second, _ = await _appointed(running, http, "admin", base + 4)
        bettor = App(http, running.urls["gateway"], Tally())
        papers = person(base)
        told = {each: getattr(papers, each) for each in ("curp", "full_name", "email", "password")}
        await bettor.post("/v1/register", told, str(uuid4()))
        await bettor.login(papers)
        case = await _in_suspense(running, http, bettor, third)
        proposed = await _propose(going, case)
        await _dismissed(first, second, (await going.get("/v1/me"))["id"])
        by_gone = await _approve(third, case, proposed)
        again = await _in_suspense(running, http, bettor, third)
        proposed_again = await _propose(stays, again)
        changed = await stays.call("POST", "/v1/password", {"password": f"{who.password}-2"})
        stays.session = changed["session"]
        by_stolen = await _approve(third, again, proposed_again)
        assert (by_gone, by_stolen) == ("proposer-may-not", "proposer-may-not")
        assert await _approve(third, again, await _propose(stays, again)) == "DECIDED"
