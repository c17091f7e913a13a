"""A service's HTTP as a client sees it, over a real socket."""

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientResponse, web
from common.errors import Refused
from common.http import Check, Route, build_app, reply
from common.http.app import READINESS
from common.idempotency import Answer
from common.telemetry.logs import REDACTED
from yarl import URL

from libs.common.tests.shop import ROUTES, Client, list_orders, open_shop, settings, shop

ORDER = {"reference": "A1", "lines": [{"amount": "1.50"}]}
BETTOR = {"Authorization": "Bearer bettor", "Idempotency-Key": "key-1"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_shop(shop()) as opened:
        yield opened


async def problem(response: ClientResponse, status: int, slug: str) -> dict[str, object]:
    """The answer's members, after checking what every problem has."""
    assert response.status == status, await response.text()
    assert response.content_type == "application/problem+json"
    members: dict[str, object] = await response.json(content_type=None)
    assert members["type"] == f"/problems/{slug}"
    assert members["status"] == status
    assert members["title"]
    assert members["detail"]
    assert members["instance"] == response.url.path
    assert members["request_id"] == response.headers["X-Request-Id"]
    return members


async def place(client: Client, body: object = ORDER, **headers: str) -> ClientResponse:
    return await client.post("/v1/orders", json=body, headers={**BETTOR, **headers})


async def test_a_handler_reads_calls_and_replies(client: Client) -> None:
    response = await place(client)
    assert response.status == 201
    assert response.content_type == "application/json"
    assert await response.json() == {"reference": "A1", "by": "ana", "key": "key-1"}


async def test_a_query_is_read_as_its_model(client: Client) -> None:
    response = await client.get("/v1/orders", params={"after": "3"})
    assert [view["reference"] for view in await response.json()] == ["3", "4"]


class TestInput:
    """Every wrong input names its field."""

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"lines": []}, "reference"),
            ({**ORDER, "extra": 1}, "extra"),
            ({**ORDER, "reference": 1}, "reference"),
            ({**ORDER, "lines": [{"amount": 1.5}]}, "lines.0.amount"),
            ({**ORDER, "lines": [{"amount": 1}]}, "lines.0.amount"),
            ({**ORDER, "lines": [{"amount": "1.5e3"}]}, "lines.0.amount"),
            ({**ORDER, "lines": [{"amount": "1", "count": "1"}]}, "lines.0.count"),
            ({**ORDER, "lines": [{"amount": "1", "count": float("nan")}]}, "lines.0.count"),
            ([], "body"),
        ],
    )
    async def test_of_a_body(self, client: Client, body: object, field: str) -> None:
        members = await problem(await place(client, body), 400, "invalid-request")
        assert members["field"] == field
        assert isinstance(members["errors"], list)
        assert members["errors"][0]["field"] == field

    async def test_all_errors_are_told_and_no_value_is(self, client: Client) -> None:
        body = {"reference": 1, "lines": [{}], "password": ["hunter2"]}
        response = await place(client, body)
        members = await problem(response, 400, "invalid-request")
        assert isinstance(members["errors"], list)
        assert [error["field"] for error in members["errors"]] == ["reference", "lines.0.amount", "password"]
        assert "hunter2" not in await response.text()

    @pytest.mark.parametrize(
        "raw", [b"", b"{", b'{"reference": "A", "reference": "B"}', b"\xff", b"[" * 2000]
    )
    async def test_of_broken_json(self, client: Client, raw: bytes) -> None:
        headers = {**BETTOR, "Content-Type": "application/json"}
        members = await problem(
            await client.post("/v1/orders", data=raw, headers=headers), 400, "invalid-request"
        )
        assert members["field"] in {"body", "reference"}

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "application/problem+json"]
    )
    async def test_of_another_content_type(self, client: Client, kind: str) -> None:
        response = await client.post("/v1/orders", data=b"{}", headers={**BETTOR, "Content-Type": kind})
        assert (await problem(response, 415, "unsupported-media-type"))["field"] == "Content-Type"

    async def test_of_a_huge_body(self, client: Client) -> None:
        response = await place(client, {**ORDER, "reference": "x" * 5000})
        assert (await problem(response, 413, "payload-too-large"))["field"] == "body"

    async def test_of_a_huge_body_that_does_not_say_so(self, client: Client) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b"x" * 1000

        headers = {**BETTOR, "Content-Type": "application/json"}
        response = await client.post("/v1/orders", data=pieces(), headers=headers)
        assert (await problem(response, 413, "payload-too-large"))["field"] == "body"

    async def test_of_a_body_that_does_not_come(self, client: Client) -> None:
        head = "POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bettor\r\nIdempotency-Key: 1\r\n"
        assert client.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        async with asyncio.timeout(3):
            answer = await reader.readuntil(b"}")
        writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"/problems/request-timeout" in answer

    async def test_of_a_body_that_is_not_what_it_says(self, client: Client) -> None:
        headers = {**BETTOR, "Content-Type": "application/json", "Content-Encoding": "gzip"}
        response = await client.post("/v1/orders", data=b"junk", headers=headers)
        assert (await problem(response, 400, "invalid-request"))["field"] == "body"

    async def test_of_a_little_body_that_swells(self, client: Client) -> None:
        headers = {**BETTOR, "Content-Type": "application/json", "Content-Encoding": "gzip"}
        response = await client.post("/v1/orders", data=gzip.compress(b" " * 1_000_000), headers=headers)
        await problem(response, 413, "payload-too-large")

    async def test_of_a_body_that_breaks_off_is_not_our_error(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        head = "POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bettor\r\nIdempotency-Key: 1\r\n"
        assert client.port is not None
        _, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.sleep(0.1)
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        text = await (await client.get("/metrics")).text()
        assert 'method="POST",route="/v1/orders",status="400"' in text

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=x", "limit"),
            ("limit=1.5", "limit"),
            ("limit=1&limit=2", "limit"),
            ("zz=1", "zz"),
            ("after=%00", "after"),
            ("limit=%2B5", "limit"),
            ("limit=+5", "limit"),
            ("limit=5+", "limit"),
            ("limit=1_0", "limit"),
            ("limit=05", "limit"),
            ("limit=5.0", "limit"),
            ("limit=%D9%A5", "limit"),
            ("after=-0", "after"),
            ("newest=on", "newest"),
            ("newest=1", "newest"),
        ],
    )
    async def test_of_a_query(self, client: Client, query: str, field: str) -> None:
        members = await problem(await client.get(f"/v1/orders?{query}"), 400, "invalid-request")
        assert members["field"] == field


class TestCaller:
    """Who may call is decided before anything is read."""

    async def test_nobody_is_401(self, client: Client) -> None:
        for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer"}):
            response = await client.post("/v1/orders", data=b"not even json", headers=headers)
            assert (await problem(response, 401, "unauthenticated"))["field"] == "Authorization"
            assert response.headers["WWW-Authenticate"] == "Bearer"

    async def test_another_role_is_403(self, client: Client) -> None:
        await problem(await place(client, Authorization="Bearer auditor"), 403, "forbidden")

    async def test_each_of_several_roles_may(self, client: Client) -> None:
        for role in ("bettor", "service"):
            assert (await place(client, Authorization=f"Bearer {role}")).status == 201

    @pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "tab\there"])
    async def test_a_key_that_is_none_is_400(self, client: Client, key: str) -> None:
        members = await problem(
            await place(client, **{"Idempotency-Key": key}), 400, "idempotency-key-missing"
        )
        assert members["field"] == "Idempotency-Key"

    async def test_the_longest_key_is_fine(self, client: Client) -> None:
        assert (await place(client, **{"Idempotency-Key": "x" * 255})).status == 201

    async def test_a_route_without_its_way_to_authenticate_does_not_start(self) -> None:
        with pytest.raises(ValueError, match="authenticate by token"):
            build_app(settings(), ROUTES, title="Shop")


class TestRefusals:
    """Errors become problems by their kind; the unforeseen tell nothing."""

    async def test_a_business_refusal(self, client: Client) -> None:
        members = await problem(await client.get("/v1/failures/refused"), 422, "out-of-stock")
        assert (members["title"], members["detail"], members["left"]) == ("Out of stock", "none left", 0)

    async def test_what_passes_says_when(self, client: Client) -> None:
        early = await client.get("/v1/failures/early")
        await problem(early, 409, "not-ready")
        assert early.headers["Retry-After"] == "7"
        busy = await client.get("/v1/failures/busy")
        await problem(busy, 429, "too-many-requests")
        assert busy.headers["Retry-After"] == "2"

    async def test_what_does_not_pass_says_nothing_of_it(self, client: Client) -> None:
        response = await client.get("/v1/failures/missing")
        assert (await problem(response, 404, "not-found"))["field"] == "id"
        assert "Retry-After" not in response.headers

    async def test_the_unforeseen_is_logged_and_not_told(
        self, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        response = await client.get("/v1/failures/ambush")
        await problem(response, 500, "internal-error")
        assert "hunter2" not in await response.text()
        assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]

    @pytest.mark.parametrize("path", ["/%ff", "/%ed%a0%80", "/%00", "/caf%C3%A9", "/%7B%22"])
    async def test_a_path_of_half_characters_is_no_error_of_ours(self, client: Client, path: str) -> None:
        response = await client.get(URL(path, encoded=True))
        assert response.status == 404
        assert (await response.json(content_type=None))["type"] == "/problems/not-found"

    async def test_a_name_of_half_a_character_is_told_somehow(self, client: Client) -> None:
        headers = {**BETTOR, "Content-Type": "application/json"}
        response = await client.post("/v1/orders", data=rb'{"\ud800": 1.5}', headers=headers)
        assert (await problem(response, 400, "invalid-request"))["field"] == "?"

    async def test_no_such_path_and_no_such_method(self, client: Client) -> None:
        await problem(await client.get("/v1/nothing"), 404, "not-found")
        response = await client.delete("/v1/orders")
        await problem(response, 405, "method-not-allowed")
        assert response.headers["Allow"] == "GET,POST"


class TestRequestId:
    """One id from the first service to the last."""

    async def test_a_sane_one_is_kept(self, client: Client) -> None:
        response = await client.get("/v1/orders", headers={"X-Request-Id": "abc-1.2_3"})
        assert response.headers["X-Request-Id"] == "abc-1.2_3"

    @pytest.mark.parametrize("given", ["a b", "x" * 65, "<script>", ""])
    async def test_any_other_is_replaced(self, client: Client, given: str) -> None:
        response = await client.get("/v1/orders", headers={"X-Request-Id": given})
        assert len(response.headers["X-Request-Id"]) == 32

    async def test_every_request_has_its_own(self, client: Client) -> None:
        ids = {(await client.get("/v1/orders")).headers["X-Request-Id"] for _ in range(3)}
        assert len(ids) == 3


class TestSystemRoutes:
    """What every service has."""

    async def test_alive_is_not_ready(self) -> None:
        async def fine(_: web.Application) -> None:
            return None

        async def broken(_: web.Application) -> None:
            raise ConnectionError("postgres://user:hunter2@db")

        async with open_shop(shop([Check("database", fine), Check("broker", broken)])) as client:
            assert (await client.get("/healthz")).status == 200
            response = await client.get("/readyz")
            assert response.status == 503
            assert await response.json() == {
                "status": "not ready",
                "failed": ["broker"],
                "checks": {"database": "ok", "broker": "ConnectionError"},
            }

    async def test_ready_when_every_check_answers(self, client: Client) -> None:
        response = await client.get("/readyz")
        assert (response.status, await response.json()) == (200, {"status": "ready", "checks": {}})

    async def test_a_check_that_hangs_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("common.http.health.PROBE_TIMEOUT_SECONDS", 0.05)

        async def hang(_: web.Application) -> None:
            await asyncio.sleep(60)

        async with open_shop(shop([Check("cache", hang)])) as client:
            assert (await (await client.get("/readyz")).json())["checks"] == {"cache": "timeout"}

    async def test_a_check_that_cannot_be_given_up_is_cut_off_too_and_is_not_asked_twice(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a question to a frozen PostgreSQL: the driver tells the server that it is not wanted any more, and waits."""
        monkeypatch.setattr("common.http.health.PROBE_TIMEOUT_SECONDS", 0.05)
        thawed, asked = asyncio.Event(), 0

        async def frozen(_: web.Application) -> None:
            nonlocal asked
            asked += 1
            while not thawed.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await thawed.wait()

        async with open_shop(shop([Check("database", frozen)])) as client, asyncio.timeout(5):
            for _ in range(3):
                assert (await (await client.get("/readyz")).json())["checks"] == {"database": "timeout"}
            assert 'readiness_check{check="database"} 0.0' in await (await client.get("/metrics")).text()
            assert asked == 1
            thawed.set()
            assert 'readiness_check{check="database"} 1.0' in await (await client.get("/metrics")).text()

    async def test_metrics_count_by_route_and_status(self, client: Client) -> None:
        await client.get("/v1/failures/refused")
        await client.get("/v1/nothing/at/all")
        text = await (await client.get("/metrics")).text()
        counted = 'http_request_duration_seconds_count{{method="{}",route="{}",status="{}"}}'.format
        assert counted("GET", r"/v1/failures/{how:\\w+}", 422) in text
        assert counted("any", "unmatched", 404) in text
        assert "/v1/nothing" not in text

    async def test_docs_are_served_from_here(self, client: Client) -> None:
        page = await client.get("/docs")
        assert page.content_type == "text/html"
        text = await page.text()
        assert "http://" not in text
        assert "https://" not in text
        for asset in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
            assert f"/docs/{asset}" in text
            response = await client.get(f"/docs/{asset}")
            assert response.status == 200
            assert response.content_type in {"text/css", "text/javascript", "application/javascript"}

    async def test_the_document_is_served(self, client: Client) -> None:
        document = await (await client.get("/openapi.json")).json()
        assert set(document["paths"]) == {"/v1/orders", "/v1/failures/{how}", "/v1/waits/{seconds}"}


async def test_access_is_logged_without_query_and_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    async with open_shop(shop()) as client:
        first = await client.get("/v1/orders?after=1")
        await place(client)
        await client.get('/v1/"lk_live_hunter2"/é')
        await client.get("/healthz")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["message"], line["subject"]) for line in lines] == [
        ("GET /v1/orders 200", None),
        ("POST /v1/orders 201", "ana"),
        (f'GET /v1/"{REDACTED}"/é 404', None),
    ]
    assert lines[0]["request_id"] == first.headers["X-Request-Id"]
    assert lines[0]["ms"] > 0
    assert {line["service"] for line in lines} == {"shop"}


async def test_access_is_logged_within_a_moment_or_not_at_all(
    client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.telemetry.access.FLUSH_SECONDS", 0.01)
    await client.get("/v1/orders")
    await asyncio.sleep(0.05)
    assert capsys.readouterr().out.count("\n") == 1
    async with open_shop(shop(log_level="WARNING")) as silent:
        await silent.get("/v1/orders")
    assert capsys.readouterr().out == ""


async def test_while_draining_every_answer_closes_its_connection() -> None:
    app = shop()
    async with open_shop(app) as client:
        app[READINESS].draining = True
        ready = await client.get("/readyz")
        assert ready.status == 503
        assert (await ready.json())["failed"] == ["draining"]
        assert (await client.get("/v1/orders")).headers["Connection"] == "close"


async def test_two_handlers_of_one_name_do_not_start() -> None:
    twin = Route("GET", "/v2/orders", list_orders, auth="none")
    with pytest.raises(ValueError, match="list_orders"):
        build_app(settings(), (*ROUTES[1:], twin), title="Shop")


async def test_a_stored_answer_is_sent_as_it_was() -> None:
    first = Answer(201, '{"a":  1}', replayed=True)
    response = reply(first)
    assert (response.status, response.body) == (201, b'{"a":  1}')
    assert response.headers["Idempotent-Replayed"] == "true"
    refusal = reply(Answer.refusing(Refused("no")))
    assert (refusal.status, refusal.content_type) == (422, "application/problem+json")
    assert "Idempotent-Replayed" not in refusal.headers
    assert isinstance(refusal.body, bytes)
    assert json.loads(refusal.body)["detail"] == "no"
