"""A small service for the tests of HTTP: it takes orders and says what it understood."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from common.errors import Conflict, NotFound, NotReady, Refused, TooMany
from common.http import (
    IDEMPOTENCY_KEY,
    PRINCIPAL,
    Body,
    Check,
    Principal,
    Role,
    Route,
    View,
    bearer,
    build_app,
    read,
    read_query,
    reply,
)
from common.settings import ServiceSettings
from common.wire import AmountText

Client = TestClient[web.Request, web.Application]


class Line(Body):
    """One thing wanted."""

    amount: AmountText
    count: int = 1


class Order(Body):
    """What a customer sends."""

    reference: str
    lines: list[Line]
    password: str = ""


class OrderView(View):
    """What a customer gets back."""

    reference: str
    by: str
    key: str


class Page(Body):
    """A page of orders."""

    after: int = 0
    limit: int = 50
    newest: bool = False


class OutOfStock(Refused):
    """There is none left."""

    slug = "out-of-stock"
    title = "Out of stock"


class Ambush(Exception):
    """An error nobody foresaw, with a secret in it."""


ERRORS = {
    "refused": OutOfStock("none left", extra={"left": 0}),
    "missing": NotFound("no such order", field="id"),
    "early": NotReady("not yet", retry_after=7),
    "busy": TooMany("later", retry_after=2),
    "taken": Conflict("somebody has it"),
    "ambush": Ambush("password=hunter2"),
}


async def place_order(request: web.Request) -> web.Response:
    """Place an order.

    It is placed once, however often it is sent.
    """
    order = await read(request, Order)
    by = request[PRINCIPAL].subject
    return reply(OrderView(reference=order.reference, by=by, key=request[IDEMPOTENCY_KEY]), status=201)


async def list_orders(request: web.Request) -> web.Response:
    """List orders."""
    page = read_query(request, Page)
    views = [OrderView(reference=str(number), by="", key="") for number in range(page.after, page.after + 2)]
    return reply(views)


async def fail(request: web.Request) -> web.Response:
    """Fail in the way that is asked for."""
    raise ERRORS[request.match_info["how"]]


async def wait(request: web.Request) -> web.Response:
    """Answer after a while."""
    await asyncio.sleep(float(request.match_info["seconds"]))
    return reply(None)


async def authenticate(request: web.Request) -> Principal:
    """The credential is the role."""
    return Principal(subject="ana", role=Role(bearer(request)))


ROUTES = (
    Route(
        "POST",
        "/v1/orders",
        place_order,
        body=Order,
        returns=OrderView,
        status=201,
        role=(Role.BETTOR, Role.SERVICE),
        idempotent=True,
        refusals=(OutOfStock,),
    ),
    Route("GET", "/v1/orders", list_orders, query=Page, returns=OrderView, auth="none"),
    Route("GET", r"/v1/failures/{how:\w+}", fail, auth="none", refusals=(OutOfStock, NotFound)),
    Route("GET", "/v1/waits/{seconds}", wait, auth="none", status=204),
)


def settings(**changes: float | str) -> ServiceSettings:
    """Settings with short waits."""
    defaults: dict[str, float | str] = {
        "max_body_bytes": 2048,
        "body_timeout_seconds": 0.3,
        "drain_seconds": 0.3,
    }
    return ServiceSettings.model_validate({"service": "shop", "port": 1, **defaults, **changes})


def shop(readiness: Sequence[Check] = (), **changes: float | str) -> web.Application:
    """The service's application."""
    return build_app(
        settings(**changes), ROUTES, title="Shop", readiness=readiness, authenticate={"token": authenticate}
    )


@asynccontextmanager
async def open_shop(app: web.Application) -> AsyncIterator[Client]:
    """The application behind a real socket, and a client of it."""
    async with TestClient(TestServer(app)) as client:
        yield client
