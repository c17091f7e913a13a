"""Webhooks: kept as they came if a live secret signed them, each once, and applied by fetching what they name."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from common.http import build_app
from common.settings import ServiceSettings
from common.watched import WatchedFile
from payments.api import webhooks
from payments.domain.accounts import uncleared
from payments.domain.cards import Act, OperationState
from payments.service.webhooks import MOST_TRIES, Door, read_secrets
from payments.store.webhooks import Hint
from standardwebhooks.webhooks import Webhook

from services.payments.tests.card_scene import cases, found, once, pay, settle_down, shown, truth
from services.payments.tests.world import World, new_player, pesos

OLD, NEW, OTHER = ("whsec_b2xkLXNlY3JldA==", "whsec_bmV3LXNlY3JldA==", "whsec_b3RoZXItc2VjcmV0")
PATH = "/v1/webhooks/cards"


@pytest.fixture
async def door(here: World, tmp_path: Path) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    settings = ServiceSettings.model_validate({"service": "payments", "port": 1})
    app = build_app(settings, webhooks.ROUTES, title="test")
    (tmp_path / "secrets").write_text(f"{OLD}\n{NEW}\n", encoding="utf-8")
    secrets = WatchedFile(tmp_path / "secrets", read_secrets, look_every_seconds=0)
    app[webhooks.DOOR] = Door(here.pool, "chaos", lambda: secrets.current)
    async with TestClient(TestServer(app)) as made:
        yield made


def signed(
    body: str, *, secret: str = NEW, id: str | None = None, at: datetime | None = None
) -> dict[str, str]:
    id, at = id or f"msg_{uuid4().hex}", at or datetime.now(UTC)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(id, at, body),
    }


def about(object_id: str) -> str:
    return json.dumps({"type": "capture.updated", "data": {"id": object_id}}, separators=(", ", ":"))


async def test_either_live_secret_opens_and_the_bytes_are_kept(
    here: World, door: TestClient[web.Request, web.Application]
) -> None:
    body = about("op_1")
    for secret in (OLD, NEW):
        answer = await door.post(PATH, data=body, headers=signed(body, secret=secret))
        assert (answer.status, await answer.json()) == (202, {"new": True})
    rows = await here.owner.fetch("SELECT raw, object_id FROM webhook")
    assert [(bytes(row["raw"]), row["object_id"]) for row in rows] == [(body.encode(), "op_1")] * 2


async def test_secrets_are_replaced_without_a_restart(
    door: TestClient[web.Request, web.Application], tmp_path: Path
) -> None:
    """The old one ends when it leaves the file; a file that holds none is passed over."""
    body = about("op_1")
    for text, old, other in ((f"{NEW}\n{OTHER}", 401, 202), ("", 401, 202), (f"{OLD}", 202, 401)):
        half = tmp_path / "half"
        half.write_text(text, encoding="utf-8")
        half.replace(tmp_path / "secrets")
        answers = [
            (await door.post(PATH, data=body, headers=signed(body, secret=each))).status
            for each in (OLD, OTHER)
        ]
        assert answers == [old, other], text


async def test_anything_else_is_answered_401_and_leaves_nothing(
    here: World, door: TestClient[web.Request, web.Application]
) -> None:
    body = about("op_1")
    good = signed(body)
    wrong: list[tuple[str, dict[str, str]]] = [
        (body, signed(body, secret=OTHER)),
        (body + " ", good),
        (body, {}),
        (body, good | {"webhook-signature": "nonsense"}),
        (body, good | {"webhook-signature": "v1,%%%"}),
        (body, good | {"webhook-timestamp": "yesterday"}),
        (body, good | {"webhook-id": "another"}),
        (body, signed(body, at=datetime.now(UTC) - timedelta(minutes=10))),
    ]
    for sent, headers in wrong:
        answer = await door.post(PATH, data=sent, headers=headers)
        assert answer.status == 401, headers
        assert (await answer.json())["type"] == "/problems/bad-webhook"
    assert await here.owner.fetchval("SELECT count(*) FROM webhook") == 0


async def test_a_webhook_comes_once(here: World, door: TestClient[web.Request, web.Application]) -> None:
    body = about("op_1")
    headers = signed(body)
    answers = [await (await door.post(PATH, data=body, headers=headers)).json() for _ in range(3)]
    assert answers == [{"new": True}, {"new": False}, {"new": False}]
    assert await here.owner.fetchval("SELECT count(*) FROM webhook") == 1


async def test_a_hundred_webhooks_at_once_and_the_apis_retries_book_one_capture(
    here: World, door: TestClient[web.Request, web.Application]
) -> None:
    """A hundred deliveries, half of them under ids of their own, worked on side by side, while our own workers ask
    the provider too and every booking is tried many times over."""
    player = new_player()
    await here.psp.faults(timeout_after=1.0)
    payment_id = await pay(here, player, "100.00", capture=False)
    await settle_down(here)
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    (capture,) = await here.cards.lease(16)
    await here.cards.advance(capture)  # it happens, and the answer is lost
    payment, _ = await found(here, payment_id)
    object_id = next(each["id"] for each in await truth(here, payment) if each["act"] == "capture")
    body, one_id = about(object_id), f"msg_{uuid4().hex}"
    sent = [signed(body, id=one_id if number % 2 else None) for number in range(100)]
    answers = await asyncio.gather(*(door.post(PATH, data=body, headers=headers) for headers in sent))
    assert {answer.status for answer in answers} == {202}
    hints: list[Hint] = []
    while leased := await here.hints.lease(16):
        hints += leased
    assert len(hints) == 51
    here.clock.forward(timedelta(seconds=1))
    retries = list(await here.cards.lease(16))
    await asyncio.gather(
        *(here.hints.apply(hint) for hint in hints),
        *(here.cards.advance(again) for again in retries * 10),
        return_exceptions=True,
    )
    asked = list(await here.witness.lease(16))
    await asyncio.gather(*(here.witness.attest(proof) for proof in asked * 10), return_exceptions=True)
    decided = list(await here.proofs.lease(16))
    await asyncio.gather(*(here.proofs.book(proof) for proof in decided * 20), return_exceptions=True)
    await settle_down(here)
    assert here.ledger.kinds() == ["card.capture"]
    assert here.ledger.balance(uncleared(player)) == 100
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.BOOKED
    assert await here.owner.fetchval("SELECT count(*) FROM proof") == 1


async def test_what_a_webhook_says_is_not_believed(
    here: World, door: TestClient[web.Request, web.Application]
) -> None:
    """A well-signed lie about a declined card: what is fetched counts."""
    player = new_player()
    payment_id = await pay(here, player, "100.00", token="declined")
    await here.run_cards()
    payment, _ = await found(here, payment_id)
    object_id = (await truth(here, payment))[0]["id"]
    lie = json.dumps({"type": "capture.succeeded", "data": {"id": object_id, "status": "succeeded",
                                                              "amount": "100.00"}})  # fmt: skip
    assert (await door.post(PATH, data=lie, headers=signed(lie))).status == 202
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.AUTHORIZE].state is OperationState.FAILED
    assert here.ledger.entries == {}


async def test_a_webhook_about_what_is_not_found_waits_and_then_is_put_aside(
    here: World, door: TestClient[web.Request, web.Application]
) -> None:
    body = about("op_nowhere")
    await door.post(PATH, data=body, headers=signed(body))
    for _ in range(MOST_TRIES):
        here.clock.forward(timedelta(minutes=1))
        await here.run_cards()
    assert await here.owner.fetchval("SELECT state FROM webhook") == "IGNORED"


async def test_an_object_nobody_asked_for_is_for_a_person(
    here: World, door: TestClient[web.Request, web.Application]
) -> None:
    wish = {
        "key": str(uuid4()),
        "act": "authorize",
        "amount": "5.00",
        "currency": "MXN",
        "card_token": "tok_x",
    }
    made = await here.psp.ask("POST", "/v1/operations", wish)
    body = about(made["id"])
    await door.post(PATH, data=body, headers=signed(body))
    await here.run_cards()
    assert ("card", f"unknown-object:{made['id']}") in await cases(here)


async def test_late_and_reordered_news_changes_nothing(here: World) -> None:
    """Every order of the same objects leads to the same end."""
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    await here.run_cards()
    payment, operations = await found(here, payment_id)
    things = await truth(here, payment)
    for thing in (*things, *reversed(things), *things):
        body = json.dumps({"type": "x", "data": {"id": thing["id"]}})
        await here.owner.execute(
            "INSERT INTO webhook (source, webhook_id, sent_at, raw, object_id) VALUES ('chaos', $1, now(), $2, $3)",
            uuid4().hex, body.encode(), thing["id"],
        )  # fmt: skip
        await here.run_cards()
    assert (await found(here, payment_id)) == (payment, operations)
    assert here.ledger.kinds() == ["card.capture"]
