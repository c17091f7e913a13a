"""Payments over HTTP: who may ask what, and bad input named and without effect."""

import base64
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from itertools import product
from typing import TypeAlias
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from common.errors import Unauthenticated
from common.http import Principal, Role, build_app
from common.settings import ServiceSettings
from payments import api
from payments.api.cards import CARD_REQUESTS
from payments.api.cashier import CASHIER
from payments.api.transfers import REQUESTS
from payments.api.webhooks import DOOR
from payments.domain.accounts import PlayerId
from payments.service.webhooks import Door, read_secrets

from services.payments.tests.railhouse import SENDER
from services.payments.tests.world import World, new_player

Client: TypeAlias = TestClient[web.Request, web.Application]


async def by_header(request: web.Request) -> Principal:
    """Stands in for identity's tokens, which have tests of their own."""
    try:
        role = Role(request.headers.get("X-Role", "bettor"))
        proof = request.headers.get("X-Proof", "1")
        return Principal(
            request.headers["X-Player"], role, "s", datetime.now(UTC), int(proof) if proof else None
        )
    except KeyError:
        raise Unauthenticated("no token") from None


@pytest.fixture
async def client(here: World) -> AsyncIterator[Client]:
    settings = ServiceSettings.model_validate({"service": "payments", "port": 1})
    app = build_app(settings, api.ROUTES, title="test", authenticate={"token": by_header})
    app[REQUESTS] = here.requests
    app[CARD_REQUESTS], app[CASHIER] = here.card_requests, here.cashier
    app[DOOR] = Door(
        here.pool, "chaos", lambda: read_secrets(f"whsec_b2xkLXNlY3JldA==\n{here.psp.webhook_secret}")
    )
    async with TestClient(TestServer(app)) as made:
        yield made


def as_player(player: PlayerId, **more: str) -> dict[str, str]:
    return {"X-Player": str(player), "Idempotency-Key": uuid4().hex} | more


CLAIM = {
    "tracking_key": "ABC123",
    "operation_date": "2026-11-20",
    "sender_institution": "40002",
    "amount": "500.00",
    "currency": "MXN",
}
PAYOUT = {"clabe": SENDER, "beneficiary_name": "Ana López", "amount": "200.00", "currency": "MXN"}


async def test_a_players_whole_way(here: World, client: Client) -> None:
    player = new_player()
    await here.known(player)
    shown = await (await client.get("/v1/clabe", headers=as_player(player))).json()
    assert shown == {"clabe": await here.requests.own_clabe(player), "bank": "STP"}
    transfer = await here.rail.transfer(shown["clabe"], "500.00")
    claim = {
        "tracking_key": transfer.clave,
        "operation_date": transfer.operation_date.isoformat(),
        "sender_institution": transfer.institution,
        "amount": "500",
        "currency": "MXN",
    }
    answer = await client.post("/v1/deposits", json=claim, headers=as_player(player))
    assert answer.status == 202
    deposit = await answer.json()
    assert (deposit["status"], deposit["amount"]) == ("CLAIMED", "500.00")
    await here.verify_all()
    await here.book_all()
    seen = await (await client.get(f"/v1/deposits/{deposit['id']}", headers=as_player(player))).json()
    assert seen["status"] == "BOOKED"
    answer = await client.post("/v1/withdrawals", json=PAYOUT, headers=as_player(player))
    assert answer.status == 202
    withdrawal = await answer.json()
    await here.pay_all()
    await here.deliver_commands()
    path = f"/v1/withdrawals/{withdrawal['id']}"
    seen = await (await client.get(path, headers=as_player(player))).json()
    assert (seen["status"], seen["amount"], seen["clabe"]) == ("BOOKED", "200.00", SENDER)


async def test_the_same_key_gives_the_same_answer_and_another_body_is_refused(
    here: World, client: Client
) -> None:
    player = new_player()
    await here.deposited(player, "500.00")
    headers = as_player(player)
    first = await client.post("/v1/withdrawals", json=PAYOUT, headers=headers)
    again = await client.post("/v1/withdrawals", json=PAYOUT | {"amount": "200.0"}, headers=headers)
    assert await again.read() == await first.read()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await client.post("/v1/withdrawals", json=PAYOUT | {"amount": "201.00"}, headers=headers)
    assert other.status == 422
    assert await here.owner.fetchval("SELECT count(*) FROM withdrawal") == 1


BAD_INPUT: tuple[tuple[str, Mapping[str, object], int, str], ...] = (
    ("/v1/deposits", CLAIM | {"amount": 500.0}, 400, "amount"),
    ("/v1/deposits", CLAIM | {"amount": "500.001"}, 400, "amount"),
    ("/v1/deposits", CLAIM | {"amount": "0.00"}, 400, "amount"),
    ("/v1/deposits", CLAIM | {"amount": "NaN"}, 400, "amount"),
    ("/v1/deposits", CLAIM | {"amount": "-5"}, 400, "amount"),
    ("/v1/deposits", CLAIM | {"amount": "1000000000000000"}, 400, "amount"),
    ("/v1/deposits", CLAIM | {"currency": "USD"}, 400, "currency"),
    ("/v1/deposits", CLAIM | {"currency": "mxn"}, 400, "currency"),
    ("/v1/deposits", CLAIM | {"surprise": 1}, 400, "surprise"),
    ("/v1/deposits", CLAIM | {"tracking_key": "AB-C"}, 400, "tracking_key"),
    ("/v1/deposits", CLAIM | {"tracking_key": "A" * 40}, 400, "tracking_key"),
    ("/v1/deposits", CLAIM | {"sender_institution": "2"}, 400, "sender_institution"),
    ("/v1/deposits", CLAIM | {"operation_date": "2020-01-01"}, 400, "operation_date"),
    ("/v1/deposits", CLAIM | {"operation_date": "yesterday"}, 400, "operation_date"),
    ("/v1/withdrawals", PAYOUT | {"clabe": "002010077777777770"}, 400, "clabe"),
    ("/v1/withdrawals", PAYOUT | {"beneficiary_name": "  "}, 400, "beneficiary_name"),
    ("/v1/withdrawals", PAYOUT | {"amount": "1e3"}, 400, "amount"),
    ("/v1/withdrawals", PAYOUT | {"amount": "9999999999999999.99"}, 400, "amount"),
    ("/v1/withdrawals", PAYOUT | {"clabe": "012180015555555550"}, 422, "clabe"),
)


async def test_bad_input_is_named_and_changes_nothing(here: World, client: Client) -> None:
    player = new_player()
    await here.requests.own_clabe(player)
    for path, body, status, field in BAD_INPUT:
        answer = await client.post(path, json=body, headers=as_player(player))
        problem = await answer.json()
        assert (answer.status, problem["field"]) == (status, field), body
        assert answer.content_type == "application/problem+json"
    for table in ("deposit", "withdrawal", "outbox", "history"):
        assert await here.owner.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_without_a_key_nothing_moves(client: Client) -> None:
    for path, body in (("/v1/deposits", CLAIM), ("/v1/withdrawals", PAYOUT)):
        answer = await client.post(path, json=body, headers={"X-Player": str(new_player())})
        assert answer.status == 400


async def test_every_route_is_for_its_own_roles_alone(client: Client) -> None:
    for route, role in product(api.ROUTES, Role):
        if role in route.roles or route.auth == "none":
            continue
        headers = as_player(new_player(), **{"X-Role": role})
        path = route.path.replace("{id}", str(uuid4()))
        answer = await client.request(route.method, path, json={}, headers=headers)
        assert answer.status == 403, path


async def test_without_a_token_nothing_is_told(client: Client) -> None:
    for route in api.ROUTES:
        answer = await client.request(route.method, route.path.replace("{id}", str(uuid4())))
        assert answer.status == 401, "the webhook's signature is its token"


async def test_another_players_payments_do_not_exist(here: World, client: Client) -> None:
    owner, stranger = new_player(), new_player()
    deposit = await here.deposited(owner, "500.00")
    await here.withdraw(owner, "10.00")
    (withdrawal,) = await here.requests.withdrawals(owner, None, 1)
    for path in (f"/v1/deposits/{deposit.id}", f"/v1/withdrawals/{withdrawal.id}"):
        assert (await client.get(path, headers=as_player(owner))).status == 200
        assert (await client.get(path, headers=as_player(stranger))).status == 404
    for path in ("/v1/deposits", "/v1/withdrawals"):
        assert (await (await client.get(path, headers=as_player(stranger))).json())["items"] == []
    assert (await client.get("/v1/deposits/none", headers=as_player(owner))).status == 404


async def test_lists_come_in_pages_without_gaps(here: World, client: Client) -> None:
    player = new_player()
    await here.deposited(player, "500.00")
    for _ in range(7):
        await here.withdraw(player, "1.00")
    seen: list[str] = []
    after: str | None = None
    for _ in range(10):
        params = {"limit": "3"} | ({"after": after} if after else {})
        page = await (await client.get("/v1/withdrawals", params=params, headers=as_player(player))).json()
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 7
    bad = await client.get("/v1/withdrawals", params={"after": "junk"}, headers=as_player(player))
    assert (bad.status, (await bad.json())["field"]) == (400, "after")


def as_cashier(name: str) -> dict[str, str]:
    return {"X-Player": name, "X-Role": "cashier", "Idempotency-Key": uuid4().hex}


async def test_two_cashiers_decide_a_case_and_see_everything_that_happened(
    here: World, client: Client
) -> None:
    player = new_player()
    await here.deposited(player, "60000.00")
    answer = await client.post(
        "/v1/withdrawals", json=PAYOUT | {"amount": "25000.00"}, headers=as_player(player)
    )
    withdrawal = await answer.json()
    await here.pay_all()
    queue = await (await client.get("/v1/cashier/cases?subject=withdrawal", headers=as_cashier("ana"))).json()
    (case,) = queue["items"]
    assert (case["reason"], case["status"], case["four_eyes"]) == ("deposit-without-play", "OPEN", True)
    path = f"/v1/cashier/cases/{case['id']}"
    shown = await (await client.get(path, headers=as_cashier("ana"))).json()
    assert [line["event"] for line in shown["history"]] == [
        "requested",
        "reserved",
        "deposit-without-play",
        "review",
    ]
    wanted = {"decision": "approve", "note": "seen the payslip"}
    bad = await client.post(f"{path}/proposal", json=wanted | {"decision": "burn"}, headers=as_cashier("ana"))
    assert bad.status == 400
    old_token = await client.post(
        f"{path}/proposal", json=wanted, headers=as_cashier("ana") | {"X-Proof": ""}
    )
    assert old_token.status == 401, "it does not say what its session stands on"
    headers = as_cashier("ana")
    proposed = await client.post(f"{path}/proposal", json=wanted, headers=headers)
    assert (proposed.status, (await proposed.json())["status"]) == (200, "PROPOSED")
    replayed = await client.post(f"{path}/proposal", json=wanted, headers=headers)
    assert await replayed.read() == await proposed.read(), "the same key, the same answer"
    seen = {"decision": "approve", "proposal": (await proposed.json())["proposal"]}
    blind = await client.post(f"{path}/approval", json={}, headers=as_cashier("beto"))
    assert blind.status == 400
    alone = await client.post(f"{path}/approval", json=seen, headers=as_cashier("ana"))
    assert (alone.status, (await alone.json())["type"]) == (403, "/problems/four-eyes")
    approved = await client.post(f"{path}/approval", json=seen, headers=as_cashier("beto"))
    assert ((await approved.json())["status"], approved.status) == ("DECIDED", 200)
    again = await client.post(f"{path}/approval", json=seen, headers=as_cashier("beto"))
    assert (await again.json())["type"] == "/problems/decision-impossible"
    await here.pay_all()
    history = f"/v1/cashier/payments/{withdrawal['id']}/history"
    lines = (await (await client.get(history, headers=as_cashier("ana"))).json())["items"]
    assert [line["event"] for line in lines] == [
        "requested", "reserved", "review", "decided:approve", "sending", "liquidated",
    ]  # fmt: skip
    assert lines[3]["person"] == "beto"


async def test_notices_are_exported_and_no_cell_is_a_formula(here: World, client: Client) -> None:
    player = new_player()
    await here.deposited(player, "80000.00")
    (case,) = (
        await (await client.get("/v1/cashier/cases?subject=player", headers=as_cashier("ana"))).json()
    )["items"]
    path = f"/v1/cashier/cases/{case['id']}"
    wanted = {"decision": "report", "note": "=HYPERLINK(1)"}
    await client.post(f"{path}/proposal", json=wanted, headers=as_cashier("ana"))
    await client.post(
        f"{path}/approval", json={"decision": "report", "proposal": 1}, headers=as_cashier("beto")
    )
    day = here.clock().date().isoformat()
    answer = await client.get(f"/v1/cashier/notices?since={day}&until={day}", headers=as_cashier("ana"))
    assert answer.content_type == "text/csv"
    head, line = (await answer.text()).splitlines()
    assert head.startswith("case,player,rule,amount")
    assert f"{player},linked-deposits-sum" in line
    assert line.endswith("'=HYPERLINK(1)")


async def test_a_card_payment_over_http(here: World, client: Client) -> None:
    player = new_player()
    wanted = {"amount": "100.00", "currency": "MXN", "card_token": f"tok_{uuid4().hex}", "capture": False}
    for wrong in ({"card_token": "4111 1111"}, {"amount": "0"}, {"currency": "USD"}, {"extra": 1}):
        refused = await client.post("/v1/card-payments", json=wanted | wrong, headers=as_player(player))
        assert refused.status == 400, wrong
    made = await (await client.post("/v1/card-payments", json=wanted, headers=as_player(player))).json()
    await here.run_cards()
    path = f"/v1/cashier/card-payments/{made['id']}"
    part = {"amount": "60.00", "currency": "MXN"}
    captured = await client.post(f"{path}/captures", json=part, headers=as_cashier("ana"))
    assert captured.status == 202
    await here.run_cards()
    seen = await (await client.get(f"/v1/card-payments/{made['id']}", headers=as_player(player))).json()
    assert (seen["status"], seen["captured"]) == ("CAPTURED", "60.00")
    stranger = await client.get(f"/v1/card-payments/{made['id']}", headers=as_player(new_player()))
    assert stranger.status == 404
    listed = await (await client.get("/v1/payments", headers=as_player(player))).json()
    assert [(each["kind"], each["status"]) for each in listed["items"]] == [("CARD_IN", "COMPLETED")]
    assert listed["items"][0]["completed_at"] is not None


NO_DATE_IN_UTC = "0001-01-01T00:00:00%2B14:00"


def cursor_at(moment: str) -> str:
    return base64.urlsafe_b64encode(f"{moment} {uuid4()}".encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("path", "status", "slug", "field"),
    [
        ("cases?subject=cow", 400, "invalid-request", "subject"),
        ("cases?after=x", 400, "invalid-cursor", "after"),
        ("notices?since=2026-11-21&until=2026-11-20", 400, "invalid-request", "until"),
        (
            "reconciliation?since=2026-11-21T10:00:00Z&until=2026-11-21T09:00:00Z",
            400,
            "invalid-request",
            "until",
        ),
        ("reconciliation?since=x&until=2026-11-21T09:00:00Z", 400, "invalid-request", "since"),
        (
            f"reconciliation?since={NO_DATE_IN_UTC}&until=2026-11-21T09:00:00Z",
            400,
            "invalid-request",
            "since",
        ),
        (
            "reconciliation?since=2026-11-21T09:00:00Z&until=9999-12-31T23:59:59-14:00",
            400,
            "invalid-request",
            "until",
        ),
        (f"cases?after={cursor_at('0001-01-01T00:00:00+14:00')}", 400, "invalid-cursor", "after"),
        (f"cases?after={cursor_at('9999-12-31T23:59:59-14:00')}", 400, "invalid-cursor", "after"),
        (f"cases?after={cursor_at('2026-11-21T09:00:00')}", 400, "invalid-cursor", "after"),
        (f"payments/{uuid4()}/history", 404, "payment-not-found", None),
        ("payments/x/history", 404, "payment-not-found", None),
    ],
)
async def test_the_desk_says_what_is_wrong(
    client: Client, path: str, status: int, slug: str, field: str | None
) -> None:
    answer = await client.get(f"/v1/cashier/{path}", headers=as_cashier("ana"))
    problem = await answer.json()
    assert (answer.status, problem["type"], problem.get("field")) == (status, f"/problems/{slug}", field)
