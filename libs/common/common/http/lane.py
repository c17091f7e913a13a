"""A fast lane: a second door to a few of an application's routes, on a bare asyncio protocol.

Only the transport differs. Requests are read by `httptools` (llhttp) instead of aiohttp's server, and then go the same
way through the same middleware (`edge.py`) into the same handlers, which find what they use of a request in `LaneRequest`.
So who may do what, how often and how large, what is answered and what is logged is the same at both doors.

What it does not have: compressed bodies, `Expect` other than `100-continue`, other spellings of a path. Requests sent
ahead are answered one after the other; while more than a few wait, no more is read. Every wait is bounded.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from time import time
from typing import Any, Final, cast

import httptools
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict
from yarl import URL

from common.http.edge import Edge
from common.http.reading import BODY_TIMEOUT_SECONDS

EDGE: Final = web.AppKey("edge", Edge)

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of a request's first line and headers together."""
MAX_HEADERS: Final = 64
MAX_AHEAD: Final = 8
"""Requests of one connection that may wait for the one before them."""
MAX_CONNECTIONS: Final = 1_000
KEEPALIVE_SECONDS: Final = 75.0
STALL_SECONDS: Final = 30.0
"""How long a client may leave its answers unread."""
LINGER_SECONDS: Final = 2.0
"""How long what is still sent is read and thrown away after the last answer."""
SWEEP_SECONDS: Final = 0.5
"""How late a deadline may be noticed."""

_log = logging.getLogger(__name__)


class _Matched:
    """What the edge asks of a request's match: the route."""

    __slots__ = ("route",)

    def __init__(self, route: web.AbstractRoute | None) -> None:
        self.route = route


@dataclass(frozen=True, slots=True)
class _Place:
    """A route as the lane serves it."""

    handler: Handler
    match: _Matched


class LaneRequest(dict[object, Any]):
    """What handlers and the edge use of an `aiohttp.web.Request`, and nothing else.

    The body is whole when the request is handled, or `failed` says why it is not.
    """

    __slots__ = ("app", "body", "client_max_size", "failed", "headers", "match_info", "method", "target")

    def __init__(self, app: web.Application, method: str, target: str, headers: CIMultiDict[str]) -> None:
        super().__init__()
        self.app = app
        self.client_max_size: int = app._client_max_size
        self.method = method
        self.target = target
        self.headers = headers
        self.body = b""
        self.failed: Exception | None = None
        self.match_info = _Matched(None)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def rel_url(self) -> URL:
        path, _, query = self.target.partition("?")
        return URL.build(path=path, query_string=query, encoded=True)

    @property
    def content_type(self) -> str:
        given = self.headers.get("Content-Type")
        return "application/octet-stream" if given is None else given.partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        given = self.headers.get("Content-Length")
        return None if given is None else int(given)

    @property
    def content(self) -> "LaneRequest":
        return self

    def is_eof(self) -> bool:
        """Whether the body has arrived; nothing is waited for any more."""
        return True

    async def read(self) -> bytes:
        """The body. Raises what kept it from arriving."""
        if self.failed is not None:
            raise self.failed
        return self.body


class Lane:
    """One port's connections, and what they are served."""

    def __init__(self, app: web.Application, paths: Sequence[tuple[str, str]]) -> None:
        """Serve the routes of `app` with these methods and paths. Raises `LookupError` if it has no such route."""
        self.app = app
        self._around = app[EDGE].around
        self.body_seconds = app[BODY_TIMEOUT_SECONDS]
        known = {
            (route.method, route.resource.canonical): route for route in app.router.routes() if route.resource
        }
        self._places: dict[str, dict[str, _Place]] = {}
        for method, path in paths:
            route = known.get((method, path))
            if route is None:
                raise LookupError(f"the application has no route {method} {path}")
            place = _Place(route.handler, _Matched(route))
            self._places.setdefault(path, {})[method] = place
        self.connections: set[_Connection] = set()
        self.closing = False

    async def answer(self, request: LaneRequest) -> web.Response:
        """What the application answers, its errors included."""
        methods = self._places.get(request.path)
        place = methods.get(request.method) if methods else None
        if place is None:
            place = _Place(_not_allowed(methods) if methods else _not_found, _Matched(None))
        request.match_info = place.match
        told = cast(web.Request, request)
        response = cast(web.Response, await self._around(told, place.handler))
        for tell in self.app.on_response_prepare:
            await tell(told, response)
        return response

    async def sweep(self) -> None:
        """See to the deadlines of all connections, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = loop.time()
            for connection in tuple(self.connections):
                connection.check(now)

    async def drain(self, seconds: float) -> None:
        """Close what is idle; wait at most so long for requests in flight."""
        self.closing = True
        deadline = asyncio.get_running_loop().time() + seconds
        for connection in tuple(self.connections):
            connection.close_when_idle()
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        for connection in tuple(self.connections):
            connection.abort()


async def _not_found(_: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


def _not_allowed(methods: Mapping[str, _Place]) -> Handler:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, sorted(methods))

    return refuse


@asynccontextmanager
async def lane(
    app: web.Application, paths: Sequence[tuple[str, str]], *, host: str, port: int, shutdown_seconds: float
) -> AsyncIterator[int]:
    """Serve until the context ends, then drain; yields the port. The application must have started."""
    served = Lane(app, paths)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(served), host, port, backlog=1024)
    sweeping = asyncio.create_task(served.sweep(), name="lane-sweep")
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await served.drain(shutdown_seconds)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)


class _Connection(asyncio.Protocol):
    """One client. Reads requests, has them answered in order, writes the answers."""

    def __init__(self, served: Lane) -> None:
        self._lane = served
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[LaneRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Event | None = None
        self._last = False  # no more requests are taken
        self._ended = False
        self._cut = False  # more of the last one may come, and is thrown away
        self._deadline = self._loop.time() + KEEPALIVE_SECONDS
        self._fresh()

    def _fresh(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._read_bytes = 0
        self._request: LaneRequest | None = None
        self._parts: list[bytes] = []
        self._size = 0

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._lane.closing or len(self._lane.connections) >= MAX_CONNECTIONS:
            self._transport.abort()
            return
        self._lane.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._lane.connections.discard(self)
        self._last = True
        if self._writable is not None:
            self._writable.set()

    def eof_received(self) -> bool:
        self._last = True
        return self._task is not None  # what is in flight is answered, to whoever still reads

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        if self._request is None:
            if not self._head_bytes:
                self._deadline = self._loop.time() + self._lane.body_seconds
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _Refused) else 400)
        else:
            if self._request is None and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431)

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # From the parser.

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._take(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) >= MAX_HEADERS:
            raise _Refused(431)
        self._take(len(name) + len(value))
        self._headers.append((_text(name), value.decode("utf-8", "surrogateescape")))

    def _take(self, size: int) -> None:
        """Count what a head has that has been read; `data_received` counts what is still to come together."""
        self._read_bytes += size
        if self._read_bytes > MAX_HEAD_BYTES:
            raise _Refused(431)

    def on_headers_complete(self) -> None:
        headers = CIMultiDict(self._headers)
        if not self._target.startswith(b"/") or len(headers.getall("Content-Length", ())) > 1:
            raise _Refused(400)
        if len(headers.getall("Authorization", ())) > 1 or len(headers.getall("Host", ())) > 1:
            raise _Refused(400)
        coding = ",".join(headers.getall("Transfer-Encoding", ()))
        if coding and "Content-Length" in headers:
            raise _Refused(400)  # two lengths: what one reader takes for the next request, another may not
        if coding.lower() not in ("", "chunked"):
            raise _Refused(501)
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refused(415)
        request = LaneRequest(
            self._lane.app,
            self._parser.get_method().decode("ascii"),
            self._target.decode("utf-8", "surrogateescape"),
            headers,
        )
        self._request = request
        self._deadline = self._loop.time() + self._lane.body_seconds
        length = request.content_length
        if length is not None and length > request.client_max_size:
            self._dispatch(
                last=True, whole=False
            )  # refused by its length, after who it is: as at the other door
        elif "Expect" in headers:
            if headers["Expect"].lower() != "100-continue":
                raise _Refused(417)
            if not self._waiting and self._task is None:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request = self._request
        if request is None or self._last:
            return
        self._size += len(body)
        if self._size > request.client_max_size:
            request.failed = web.HTTPRequestEntityTooLarge(request.client_max_size, self._size)
            self._dispatch(last=True, whole=False)
            return
        self._parts.append(body)

    def on_message_complete(self) -> None:
        request = self._request
        if request is None or self._last:
            return
        request.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._dispatch(last=not self._parser.should_keep_alive())

    # Answering.

    def _dispatch(self, *, last: bool, whole: bool = True) -> None:
        """The request is to be answered; `last` closes the connection after it. One that is not `whole` may
        have more on its way."""
        if self._request is None:
            return
        self._waiting.append((self._request, last))
        self._fresh()
        self._last = self._last or last
        self._cut = self._cut or not whole
        if len(self._waiting) > MAX_AHEAD:
            self._transport.pause_reading()
        if self._task is None:
            self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        """Answer what waits, in order."""
        try:
            while self._waiting and not self._transport.is_closing():
                request, last = self._waiting.popleft()
                response = await self._lane.answer(request)
                last = last or response.keep_alive is False or self._lane.closing
                if self._writable is not None:
                    await self._writable.wait()
                self._transport.write(_written(response, request.method, last=last))
                if last:
                    self._end()
                elif len(self._waiting) == MAX_AHEAD:
                    self._transport.resume_reading()
        except Exception:  # noqa: BLE001 - whatever it is, this connection is of no use any more
            _log.exception("a connection of the fast lane broke off")
            self._transport.abort()
        finally:
            self._task = None
            if not self._head_bytes:
                self._deadline = self._loop.time() + KEEPALIVE_SECONDS
            if self._last:
                self._end()

    def _end(self) -> None:
        """Nothing more is answered. Whoever is still sending is read for a moment: to hang up on them would take
        the answer with it."""
        self._last = True
        if self._ended or self._transport.is_closing():
            return
        self._ended = True
        if self._cut and self._transport.can_write_eof():
            self._transport.write_eof()
            self._deadline = self._loop.time() + LINGER_SECONDS
        else:
            self._transport.close()

    def _refuse(self, status: int) -> None:
        """What cannot be read as a request is answered by the bare status, after what came before it."""
        self._last = True
        self._cut = True
        if self._task is None and not self._waiting:
            phrase = HTTPStatus(status).phrase
            self._transport.write(
                f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
        if self._task is None:
            self._end()

    def check(self, now: float) -> None:
        """Deadlines: of a head, of a body, of an idle connection, of a client that does not read."""
        if self._task is not None:
            if self._writable is None:
                self._deadline = now + STALL_SECONDS
            elif now > self._deadline:
                self._transport.abort()
        elif now > self._deadline:
            if self._last:
                self._transport.close()
            elif self._request is not None:
                self._request.failed = TimeoutError()
                self._dispatch(last=True, whole=False)
            elif self._head_bytes:
                self._refuse(408)
            else:
                self._transport.close()

    def close_when_idle(self) -> None:
        if self._task is None and self._request is None:
            self._last = True
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class _Refused(Exception):
    """Not a request that this door takes."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@lru_cache(maxsize=1024)
def _text(name: bytes) -> str:
    """A header's name. Most requests have the same ones."""
    return name.decode("utf-8", "surrogateescape")


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache(maxsize=64)
def _first(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"


def _written(response: web.Response, method: str, *, last: bool) -> bytes:
    """The answer as bytes. Raises `ValueError` for a header that would be two."""
    body = response.body
    sent = body if isinstance(body, bytes | bytearray) else b""
    lines = [_first(response.status)]
    for name, value in response.headers.items():
        if "\r" in value or "\n" in value:
            raise ValueError(f"a line break in {name}")
        if name != "Content-Length":
            lines.append(f"{name}: {value}\r\n")
    lines.append(f"Content-Length: {len(sent)}\r\nDate: {_date(int(time()))}\r\n")
    lines.append("Connection: close\r\n\r\n" if last else "\r\n")
    head = "".join(lines).encode("utf-8", "surrogateescape")
    return head if method == "HEAD" else head + sent
