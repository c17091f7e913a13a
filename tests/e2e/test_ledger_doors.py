"""The ledger's front door on two processes at once: keys, races, and every kind of bad input."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from common.client import RemoteProblem, ServiceClient
from common.signing import RequestSigner, SigningKey
from common.testing import Stack
from contracts.ledger import EntryRequest, EntryView

from loadtests.bank import fund_players, hold_body, ledger_key
from tests.e2e.control import order
from tools.stack.described import running_stack

Json = dict[str, Any]


@pytest.fixture
async def two_doors(running: Stack) -> AsyncIterator[tuple[str, str]]:
    await order(running, "start", "ledger-2")
    yield running.urls["ledger"], running.urls["ledger-2"]
    await order(running, "stop", "ledger-2")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def key() -> str:
    return await ledger_key(running_stack(), "tester", "deposit", "bet.hold", "bet.release")


@pytest.fixture
async def http(key: str) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {key}"}, connector=connector
    ) as session:
        yield session


async def post(http: aiohttp.ClientSession, base: str, body: Json, key: str) -> tuple[int, str, Json]:
    url = f"{base}/v1/entries"
    async with http.post(url, json=body, headers={"Idempotency-Key": key}) as answer:
        return (
            answer.status,
            answer.headers.get("Idempotent-Replayed", ""),
            await answer.json(content_type=None),
        )


async def test_two_processes_one_key_two_hundred_times(
    two_doors: tuple[str, str], http: aiohttp.ClientSession, key: str
) -> None:
    (player,) = await fund_players(running_stack(), key, 1)
    body, once = hold_body(player, str(uuid4()), str(uuid4())), str(uuid4())
    answers = await asyncio.gather(*(post(http, two_doors[n % 2], body, once) for n in range(200)))
    assert {status for status, _, _ in answers} == {201}
    assert len({json.dumps(view, sort_keys=True) for _, _, view in answers}) == 1
    assert sum(replayed == "" for _, replayed, _ in answers) == 1


@pytest.mark.parametrize("kind", ["bet.match", "bet.release", "bet.settle", "bet.void", "bet.resettle"])
async def test_betting_posts_facts_by_its_outbox_alone(running: Stack, kind: str) -> None:
    """Its key holds stakes and repays debts: what its database has not written does not come in beside it."""
    file = running.secrets_dir / "ledger-key-betting"
    bearer, signing = file.read_text(), file.with_name(f"{file.name}.signing").read_text()
    leg = {"account": f"markets/{uuid4()}/escrow", "amount": "1.00", "currency": "MXN"}
    fact = EntryRequest.model_validate(
        {
            "kind": kind,
            "reference": f"markets/{uuid4()}",
            "postings": [{**leg, "side": "debit"}, {**leg, "side": "credit"}],
        }
    )
    async with ServiceClient(
        running.urls["ledger"],
        timeout_seconds=5.0,
        headers={"Authorization": f"Bearer {bearer.strip()}"},
        signer=RequestSigner(SigningKey.parse(signing.strip())),
    ) as betting:
        with pytest.raises(RemoteProblem) as refused:
            await betting.post("/v1/entries", fact, EntryView, idempotency_key=str(uuid4()))
    assert (refused.value.status, refused.value.slug) == (403, "scope-missing")


async def test_two_processes_two_hundred_holds_on_seven(
    two_doors: tuple[str, str], http: aiohttp.ClientSession, key: str
) -> None:
    (player,) = await fund_players(running_stack(), key, 1)
    market = str(uuid4())
    most = hold_body(player, market, str(uuid4()))
    for leg in most["postings"]:
        leg["amount"] = "999993.00"
    assert (await post(http, two_doors[0], most, str(uuid4())))[0] == 201
    bodies = [hold_body(player, market, str(uuid4())) for _ in range(200)]
    answers = await asyncio.gather(
        *(post(http, two_doors[n % 2], body, str(uuid4())) for n, body in enumerate(bodies))
    )
    assert sorted(status for status, _, _ in answers) == [201] * 7 + [422] * 193
    assert {view["type"] for status, _, view in answers if status == 422} == {"/problems/insufficient-funds"}


def sound() -> Json:
    return hold_body(str(uuid4()), str(uuid4()), str(uuid4()))


def changed(path: str, value: object) -> Json:
    body = sound()
    *way, last = path.split(".")
    at: Any = body
    for step in way:
        at = at[int(step)] if step.isdigit() else at[step]
    at[last] = value
    return body


BAD = {
    "a float amount": (changed("postings.0.amount", 1.5), 400, "postings.0.amount"),
    "an integer amount": (changed("postings.0.amount", 1), 400, "postings.0.amount"),
    "a negative amount": (changed("postings.0.amount", "-1.00"), 400, "postings.0.amount"),
    "NaN": (changed("postings.0.amount", "NaN"), 400, "postings.0.amount"),
    "an exponent": (changed("postings.0.amount", "1e3"), 400, "postings.0.amount"),
    "zero": (changed("postings.0.amount", "0.00"), 400, "postings.0.amount"),
    "too many decimals": (changed("postings.0.amount", "1.001"), 422, "postings.0.amount"),
    "an unknown field": (sound() | {"grant": "yes"}, 400, "grant"),
    "a wrong currency": (changed("postings.0.currency", "USD"), 422, "postings.0.currency"),
    "no currency": (changed("postings.0.currency", "pesos"), 400, "postings.0.currency"),
    "a wrong side": (changed("postings.0.side", "both"), 400, "postings.0.side"),
    "an unbalanced entry": (changed("postings.0.amount", "2.00"), 422, "postings"),
    "an unknown account": (
        changed("postings.0.account", "players/nobody/available"),
        422,
        "postings.0.account",
    ),
    "an unknown kind": (changed("kind", "grant"), 422, "kind"),
    "a kind not permitted": (changed("kind", "bet.match"), 403, "kind"),
    "a hold that is no id": (changed("postings.1.hold", "x"), 400, "postings.1.hold"),
    "no hold": (changed("postings.1.hold", None), 422, "postings.1.hold"),
    "one posting": (changed("postings", [sound()["postings"][0]]), 400, "postings"),
    "no postings": (changed("postings", None), 400, "postings"),
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_input_names_its_field_and_changes_nothing(
    running: Stack, http: aiohttp.ClientSession, what: str
) -> None:
    body, status, field = BAD[what]
    before = await trial_balance(running, http)
    async with http.post(
        f"{running.urls['ledger']}/v1/entries", json=body, headers={"Idempotency-Key": str(uuid4())}
    ) as answer:
        problem = await answer.json(content_type=None)
        assert answer.content_type == "application/problem+json"
        assert (answer.status, problem["status"], problem["field"]) == (status, status, field), problem
    assert await trial_balance(running, http) == before


async def trial_balance(running: Stack, http: aiohttp.ClientSession) -> Json:
    async with http.get(f"{running.urls['ledger']}/v1/trial-balance") as answer:
        view: Json = await answer.json()
    assert view["balanced"]
    return view


async def test_bad_envelopes_of_a_request(running: Stack, http: aiohttp.ClientSession) -> None:
    url, good = f"{running.urls['ledger']}/v1/entries", {"Idempotency-Key": str(uuid4())}
    json_type = good | {"Content-Type": "application/json"}
    cases: list[tuple[dict[str, str], bytes, int]] = [
        ({"Content-Type": "application/json"}, json.dumps(sound()).encode(), 400),
        (
            {"Idempotency-Key": "x" * 256, "Content-Type": "application/json"},
            json.dumps(sound()).encode(),
            400,
        ),
        (good | {"Content-Type": "text/plain"}, json.dumps(sound()).encode(), 415),
        (json_type, b"{" + b" " * 3_000_000 + b"}", 413),
        (json_type, b"[" * 100_000, 400),
        (json_type, b'{"kind": "a", "kind": "b"}', 400),
        (json_type, b"\xff\xfe", 400),
        (json_type, b"", 400),
        (json_type | {"Authorization": "Bearer lk_live_wrong"}, json.dumps(sound()).encode(), 401),
    ]
    for headers, body, status in cases:
        async with http.post(url, data=body, headers=headers) as answer:
            problem = await answer.json(content_type=None)
            assert answer.status == status, (status, problem)
            assert answer.content_type == "application/problem+json"


async def test_a_read_only_key_reads_and_changes_nothing(running: Stack) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "keys", "create", "--name", "auditor", "--kinds", "bet.hold", "--read-only",
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"DATABASE_DSN": running.dsn["ledger_keys"]},
    )  # fmt: skip
    told, _ = await process.communicate()
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {told.decode().strip()}"}) as http:
        await trial_balance(running, http)
        status, _, problem = await post(http, running.urls["ledger"], sound(), str(uuid4()))
    assert (status, problem["type"]) == (403, "/problems/read-only-key")
