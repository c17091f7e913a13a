"""The doors to live updates: WebSocket, and Server-Sent Events with the same messages for where that does not pass."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Literal
from uuid import UUID

import aiohttp
from aiohttp import web
from common.errors import DomainError, Invalid, NotFound, Unavailable
from common.http import Route
from common.problem import problem_of
from common.roles import Role
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.api import DOOR
from gateway.domain import Service
from gateway.live.hub import Hub, TooManyClients
from gateway.live.images import Image, is_nothing
from gateway.live.watchers import MOST_MARKETS, TooSlow, Watcher
from gateway.sessions import NoSession, TokenExchange, session_secret

SESSION_CHECK_SECONDS: Final = 30.0
"""A session that ended elsewhere stops hearing within this time."""
SEND_SECONDS: Final = 10.0
"""A client that takes nothing for so long is let go."""
MOST_MESSAGE_BYTES: Final = 8 * 1024
CLOSE_SESSION_ENDED: Final = 4401
CLOSE_TOO_SLOW: Final = 4408
CLOSE_BAD_MESSAGE: Final = 4400


class Subscribe(BaseModel):
    """`{"op": "sub", "ch": ["market:<id>", "me"], "clk": {"market:<id>": 77}, "hb": 5, "conflate": 100}`: watch these
    channels, the markets from these clocks on; a heartbeat every `hb` seconds, changes of books at most every `conflate`
    milliseconds."""

    model_config = ConfigDict(extra="forbid")

    op: Literal["sub"]
    ch: list[str] = Field(min_length=1, max_length=MOST_MARKETS + 1)
    clk: dict[str, int] = Field(default_factory=dict, max_length=MOST_MARKETS)
    hb: float = Field(default=5.0, ge=1, le=60)
    conflate: int = Field(default=50, ge=0, le=5_000)


class MarketUnavailable(Unavailable):
    """Betting does not answer, so how the market stands is not known."""

    slug = "market-unavailable"
    title = "The market cannot be read now"


class MarketReader:
    """Reads markets from betting with the token of whoever watches."""

    def __init__(self, client: aiohttp.ClientSession, betting_url: str, exchange: TokenExchange) -> None:
        self._client = client
        self._url = betting_url.rstrip("/")
        self._exchange = exchange

    async def who(self, secret: str) -> tuple[str, Role]:
        """Whose session it is. Raises NoSession, SessionsUnavailable."""
        token = await self._exchange.token_for(secret, Service.BETTING)
        return token.subject, token.role

    def fetch_for(self, secret: str) -> Callable[[str], Awaitable[Image]]:
        async def fetch(market: str) -> Image:
            token = await self._exchange.token_for(secret, Service.BETTING)
            headers = {"Authorization": f"Bearer {token.token}"}
            timeout = aiohttp.ClientTimeout(total=5)
            try:
                async with self._client.get(
                    f"{self._url}/v1/markets/{market}", headers=headers, timeout=timeout
                ) as answer:
                    if answer.status == HTTPStatus.OK:
                        return image_of(await answer.json())
                    if answer.status == HTTPStatus.UNAUTHORIZED:
                        self._exchange.forget(secret)
                    if answer.status in _NOT_NOW or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                        raise MarketUnavailable("Try again.", retry_after=1)
                    raise NotFound(f"there is no market {market}", field="ch")
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise MarketUnavailable("Try again.", retry_after=1) from error

        return fetch


_NOT_NOW: Final = frozenset(
    (HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
)
"""What betting says of itself, or of our token, and not of the market."""


HUB = web.AppKey("hub", Hub)
READER = web.AppKey("reader", MarketReader)


def image_of(market: "dict[str, object]") -> Image:
    """The image in betting's view of a market."""
    view = MarketWithBook.model_validate(market)
    levels = {
        (str(side.runner_id), level.risk, level.win): level.amount
        for side in view.book
        for level in side.levels
        if not is_nothing(level.amount)
    }
    return Image(
        str(view.id), view.status, view.version, seen=view.sequence, clk=view.sequence, levels=levels
    )


class _Level(BaseModel):
    risk: int
    win: int
    amount: str


class _Side(BaseModel):
    runner_id: UUID
    levels: tuple[_Level, ...]


class MarketWithBook(BaseModel):
    """What is read of betting's view of a market."""

    id: UUID
    status: str
    version: int
    sequence: int
    book: tuple[_Side, ...]


async def subscribe(request: web.Request, watcher: Watcher, secret: str, wanted: Subscribe) -> None:
    """Watch what is wanted. Raises Invalid, NotFound, NoSession, SessionsUnavailable, MarketUnavailable."""
    hub, fetch = request.app[HUB], request.app[READER].fetch_for(secret)
    watcher.heartbeat_seconds, watcher.conflate_seconds = wanted.hb, wanted.conflate / 1000
    for channel in wanted.ch:
        if channel == "me":
            hub.hear(watcher)
            continue
        kind, _, market = channel.partition(":")
        try:
            market = str(UUID(market))
        except ValueError:
            kind = ""
        if kind != "market":
            raise Invalid("a channel is `me` or `market:<id>`", field="ch")
        if len(watcher.markets) >= MOST_MARKETS and market not in watcher.markets:
            raise Invalid(f"at most {MOST_MARKETS} markets", field="ch")
        await hub.watch(watcher, market, wanted.clk.get(channel), fetch)


async def live(request: web.Request) -> web.StreamResponse:
    """Watch markets and what is yours, over WebSocket.

    Send `{"op": "sub", "ch": ["market:<id>", "me"]}`; what comes is `img` (the whole book), `delta` (`prev`, `clk`, absolute
    amounts), `status`, `me` and `hb`. A `delta` whose `prev` is not the clock you have: subscribe again.
    """
    secret = session_secret(request)
    subject = (await request.app[DOOR].greet(request)).subject
    socket = web.WebSocketResponse(
        heartbeat=30.0, max_msg_size=MOST_MESSAGE_BYTES, compress=False, timeout=SEND_SECONDS
    )
    watcher = Watcher(subject)
    hub = request.app[HUB]
    hub.joined(watcher)
    tasks: list[asyncio.Task[None]] = []
    try:
        await socket.prepare(request)
        tasks = [
            asyncio.create_task(_send_to(socket, watcher)),
            asyncio.create_task(_end_with_session(request, secret, socket)),
        ]
        await _listen_to(request, socket, watcher, secret)
    finally:
        hub.left(watcher)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return socket


async def _listen_to(
    request: web.Request, socket: web.WebSocketResponse, watcher: Watcher, secret: str
) -> None:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        try:
            await request.app[DOOR].hear(watcher.subject)
            await subscribe(request, watcher, secret, Subscribe.model_validate_json(message.data))
        except ValidationError:
            problem = Invalid('send {"op": "sub", "ch": [...]}', field="op")
            watcher.tell(json.dumps({"op": "error", "problem": problem_of(problem)}))
        except NoSession:
            await socket.close(code=CLOSE_SESSION_ENDED)
        except DomainError as refusal:
            watcher.tell(json.dumps({"op": "error", "problem": problem_of(refusal)}))


async def _send_to(socket: web.WebSocketResponse, watcher: Watcher) -> None:
    with contextlib.suppress(ConnectionError):
        try:
            while not socket.closed:
                message = await watcher.next_message()
                async with asyncio.timeout(SEND_SECONDS):
                    await socket.send_str(message)
        except (TooSlow, TimeoutError):
            await socket.close(code=CLOSE_TOO_SLOW)


async def _end_with_session(request: web.Request, secret: str, socket: web.WebSocketResponse) -> None:
    while True:
        await asyncio.sleep(SESSION_CHECK_SECONDS)
        try:
            await request.app[READER].who(secret)
        except NoSession:
            await socket.close(code=CLOSE_SESSION_ENDED)
            return
        except DomainError:
            continue  # identity is away: whoever is in stays in


async def live_events(request: web.Request) -> web.StreamResponse:
    """Watch markets and what is yours, as Server-Sent Events: `?ch=market:<id>&ch=me`.

    The messages are the WebSocket's. `Last-Event-ID` resumes: what was missed comes as one delta, or as an image.
    """
    secret = session_secret(request)
    subject = (await request.app[DOOR].greet(request)).subject
    watcher = Watcher(subject)
    try:
        wanted = Subscribe(
            op="sub", ch=request.query.getall("ch", []), clk=_clocks(request.headers.get("Last-Event-ID", ""))
        )
    except ValidationError:
        raise Invalid("name a channel: ?ch=market:<id>&ch=me", field="ch") from None
    hub = request.app[HUB]
    hub.joined(watcher)
    try:
        await subscribe(request, watcher, secret, wanted)
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        await _stream_to(request, response, watcher, secret)
    finally:
        hub.left(watcher)
    return response


async def _stream_to(
    request: web.Request, response: web.StreamResponse, watcher: Watcher, secret: str
) -> None:
    loop = asyncio.get_running_loop()
    checked_at = loop.time()
    with contextlib.suppress(ConnectionError, TooSlow, TimeoutError, NoSession):
        while True:
            message = await watcher.next_message()
            if loop.time() - checked_at > SESSION_CHECK_SECONDS:
                await request.app[READER].who(secret)
                checked_at = loop.time()
            clocks = ",".join(f"{market}:{clk}" for market, clk in watcher.clocks().items())
            async with asyncio.timeout(SEND_SECONDS):
                await response.write(f"id: {clocks}\ndata: {message}\n\n".encode())


def _clocks(last_event_id: str) -> dict[str, int]:
    """Where a client was, by channel; what cannot be read is no place."""
    clocks: dict[str, int] = {}
    for part in last_event_id.split(",")[:MOST_MARKETS]:
        market, _, clk = part.rpartition(":")
        if market and clk.isascii() and clk.isdigit():
            clocks[f"market:{market}"] = int(clk[:18])
    return clocks


ROUTES = (
    Route("GET", "/v1/live", live, auth="none", refusals=(NoSession, TooManyClients)),
    Route(
        "GET",
        "/v1/live/events",
        live_events,
        auth="none",
        refusals=(NoSession, TooManyClients, NotFound, MarketUnavailable),
    ),
)
