"""Calling another service over a real socket: what is repeated, what is not, and what is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from common import client as client_module
from common.client import RemoteProblem, ServiceClient, Unreachable
from common.telemetry.context import REQUEST_ID
from common.telemetry.traces import continued
from common.wire import Body, View
from multidict import CIMultiDictProxy

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PROBLEM = {"type": "/problems/out-of-stock", "title": "Out of stock", "detail": "none left", "left": 0}


class Order(Body):
    """What is sent."""

    amount: str
    note: str | None = None


class OrderView(View):
    """What comes back."""

    id: int


@dataclass
class Upstream:
    """Plays the answers it is given in order, the last one for ever, and keeps what it was asked."""

    answers: list[web.Response | None] = field(default_factory=list)
    asked: list[tuple[str, str, bytes, CIMultiDictProxy[str]]] = field(default_factory=list)
    delay: float = 0.0

    async def handle(self, request: web.Request) -> web.Response:
        """The next answer; None breaks the connection."""
        self.asked.append((request.method, request.path_qs, await request.read(), request.headers))
        await asyncio.sleep(self.delay)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[ServiceClient]:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", upstream.handle)
    headers = {"Authorization": "Bearer lk_test_1"}
    async with (
        TestServer(app) as server,
        ServiceClient(str(server.make_url("/")), timeout_seconds=0.3, headers=headers) as opened,
    ):
        yield opened


def ok(body: str = '{"id": 7}', **headers: str) -> web.Response:
    return web.Response(text=body, status=201, headers=headers)


def busy(status: int = 503) -> web.Response:
    return web.json_response(PROBLEM, status=status, headers={"Retry-After": "3"})


async def test_a_model_goes_and_a_view_comes(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [ok()]
    view = await client.post("/v1/orders", Order(amount="1.50"), OrderView, idempotency_key="k")
    assert view == OrderView(id=7)
    ((method, path, body, headers),) = upstream.asked
    assert (method, path, body) == ("POST", "/v1/orders", b'{"amount":"1.50"}')
    assert headers["Idempotency-Key"] == "k"
    assert headers["Authorization"] == "Bearer lk_test_1"
    assert headers["Content-Type"] == "application/json"


async def test_a_query_goes_with_a_get(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [ok()]
    assert await client.get("/v1/orders", OrderView, params={"after": "a/b c"}) == OrderView(id=7)
    assert upstream.asked[0][1] in {
        "/v1/orders?after=a/b+c",
        "/v1/orders?after=a%2Fb+c",
        "/v1/orders?after=a/b%20c",
    }


async def test_request_and_trace_travel_along(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [ok()]
    token = REQUEST_ID.set("abc")
    with continued({"traceparent": TRACE}):
        await client.get("/v1/orders", OrderView)
    REQUEST_ID.reset(token)
    assert upstream.asked[0][3]["X-Request-Id"] == "abc"
    assert upstream.asked[0][3]["traceparent"] == TRACE


async def test_a_replay_is_told_apart(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [ok(), ok(**{"Idempotent-Replayed": "true"})]
    assert not (await client.send("POST", "/", body=b"{}", idempotency_key="k")).replayed
    assert (await client.send("POST", "/", body=b"{}", idempotency_key="k")).replayed


@pytest.mark.parametrize("first", [None, busy(503), busy(429), busy(502), busy(504)])
async def test_what_may_pass_is_tried_again_under_the_same_key(
    client: ServiceClient, upstream: Upstream, first: web.Response | None
) -> None:
    upstream.answers = [first, ok()]
    await client.post("/v1/orders", Order(amount="1"), OrderView, idempotency_key="k")
    assert [asked[3]["Idempotency-Key"] for asked in upstream.asked] == ["k", "k"]
    assert upstream.asked[0][2] == upstream.asked[1][2]


async def test_without_a_key_a_mutation_is_sent_once(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [None]
    with pytest.raises(Unreachable):
        await client.post("/v1/orders", Order(amount="1"), OrderView)
    upstream.answers = [busy()]
    with pytest.raises(RemoteProblem):
        await client.post("/v1/orders", Order(amount="1"), OrderView)
    assert len(upstream.asked) == 2


async def test_attempts_are_bounded(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [busy()]
    with pytest.raises(RemoteProblem) as refused:
        await client.get("/v1/orders", OrderView)
    assert (refused.value.status, refused.value.retry_after) == (503, 3)
    assert len(upstream.asked) == client_module.ATTEMPTS


async def test_a_refusal_is_told_whole_and_not_repeated(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [web.json_response(PROBLEM, status=422)]
    with pytest.raises(RemoteProblem) as refused:
        await client.post("/v1/orders", Order(amount="1"), OrderView, idempotency_key="k")
    problem = refused.value
    assert (problem.status, problem.slug, problem.detail) == (422, "out-of-stock", "none left")
    assert b'"left": 0' in problem.body
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"type": 1}'])
async def test_a_refusal_that_is_no_problem_is_told_by_status(
    client: ServiceClient, upstream: Upstream, body: bytes
) -> None:
    upstream.answers = [web.Response(body=body, status=404)]
    with pytest.raises(RemoteProblem) as refused:
        await client.get("/v1/orders", OrderView)
    assert (refused.value.status, refused.value.slug) == (404, "http-404")


async def test_a_slow_answer_leaves_the_outcome_unknown(client: ServiceClient, upstream: Upstream) -> None:
    upstream.answers = [ok()]
    upstream.delay = 1.0
    with pytest.raises(Unreachable) as unknown:
        await client.post("/v1/orders", Order(amount="1"), OrderView)
    assert "127.0.0.1" not in unknown.value.detail


@pytest.mark.parametrize("body", ["", "{}", '{"id": "x"}'])
async def test_an_answer_that_makes_no_sense_leaves_the_outcome_unknown(
    client: ServiceClient, upstream: Upstream, body: str
) -> None:
    upstream.answers = [ok(body)]
    with pytest.raises(Unreachable):
        await client.post("/v1/orders", Order(amount="1"), OrderView)


async def test_an_answer_without_end_is_cut_off(
    client: ServiceClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 10)
    upstream.answers = [ok('{"id": 12345678901234567890}')]
    with pytest.raises(Unreachable):
        await client.send("POST", "/v1/orders", body=b"{}")


async def test_nobody_there_is_unreachable() -> None:
    async with ServiceClient("http://127.0.0.1:1") as client:
        with pytest.raises(Unreachable):
            await client.get("/", OrderView)


async def test_a_closed_client_says_so() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await ServiceClient("http://127.0.0.1:1").get("/", OrderView)
