"""One client's connection: reads its requests, has them answered in order, writes the answers.

Compressed bodies and `Expect` other than `100-continue` are refused. Requests sent ahead are answered one after the other; while
more than a few wait, no more is read. Every wait is bounded.
"""

import asyncio
import logging
from collections import deque
from functools import lru_cache
from typing import Final, cast

import httptools
from aiohttp import web
from multidict import CIMultiDict

from common.http.lane.answers import Refused, written
from common.http.lane.request import LaneRequest
from common.http.lane.served import Lane

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of a request's first line and headers together."""
MAX_HEADERS: Final = 64
MAX_AHEAD: Final = 8
"""Requests of one connection that may wait for the one before them."""
MAX_CONNECTIONS: Final = 10_000
"""In the lane, or not yet seen to belong elsewhere."""
KEEPALIVE_SECONDS: Final = 75.0
STALL_SECONDS: Final = 30.0
"""How long a client may leave its answers unread."""
LINGER_SECONDS: Final = 2.0
"""How long what is still sent is read and thrown away after the last answer."""

_log = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One client. Reads requests, has them answered in order, writes the answers."""

    def __init__(self, served: Lane) -> None:
        self._lane = served
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[LaneRequest, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Event | None = None
        self._open = False  # the parser is in the middle of a request
        self._start = b""  # of a request, too short to tell whose it is
        self._foreign: bytes | None = None  # what is handed over once the answers before it are written
        self._last = False  # no more requests are taken
        self._ended = False
        self._cut = False  # more of the last one may come, and is thrown away
        self._deadline = self._loop.time() + KEEPALIVE_SECONDS
        self._fresh()

    def _fresh(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._tail = b""  # of a head's newest piece: where it ends may be split
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
        if self._foreign is not None:
            self._foreign += data
            return
        while data and not self._last:
            if not self._open:
                data = self._begun(data)
            if data:
                end = self._end_of_piece(data)
                self._feed(data[:end])
                data = data[end:]

    def _begun(self, data: bytes) -> bytes:
        """What is to be read of a new request. If that is too little to tell whose it is, it is kept; if it is not the
        lane's, the connection is handed over with it."""
        if not self._start:
            self._deadline = self._loop.time() + self._lane.body_seconds
        data = self._start + data
        mine = self._lane.takes(data)
        self._start = data if mine is None else b""
        if mine is False:
            self._leave(data)
        return data if mine else b""

    def _end_of_piece(self, data: bytes) -> int:
        """How much of `data` belongs to the head, or to the body, that is being read. What comes after may not be the lane's."""
        if self._request is None:
            begun = self._tail + data
            found = begun.find(b"\r\n\r\n")
            if found < 0:
                self._tail = begun[-3:]
                return len(data)
            return found + 4 - len(self._tail)
        length = self._request.content_length
        # At least one byte, so that whatever the parser makes of a length the end of `data` is reached.
        return len(data) if length is None else min(len(data), max(1, length - self._size))

    def _feed(self, piece: bytes) -> None:
        if self._request is None:
            self._head_bytes += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._refuse(Refused(400, "an upgrade is not possible here", "Upgrade"))
        except httptools.HttpParserError as error:
            match error.__context__:
                case Refused() as refused:
                    self._refuse(refused)
                case _SentAhead():
                    self._refuse(None)
                case _:
                    self._refuse(Refused(400, "this is not an HTTP request"))
        else:
            if self._request is None and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(_too_large())

    def _leave(self, data: bytes) -> None:
        """Hand the connection over to aiohttp, beginning with `data`, as soon as what came before it is answered."""
        if self._task is not None:
            self._foreign = data
            self._transport.pause_reading()
            return
        self._lane.connections.discard(self)
        self._last = True
        protocol = self._lane.others()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # From the parser.

    def on_message_begin(self) -> None:
        self._open = True

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._take(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) >= MAX_HEADERS:
            raise _too_large()
        self._take(len(name) + len(value))
        # White space around a value is no part of it (RFC 9110 §5.5), but the parser leaves what comes after.
        self._headers.append((_text(name), value.strip(b" \t").decode("utf-8", "surrogateescape")))

    def _take(self, size: int) -> None:
        """Count what a head has that has been read; `data_received` counts what is still to come together."""
        self._read_bytes += size
        if self._read_bytes > MAX_HEAD_BYTES:
            raise _too_large()

    def on_headers_complete(self) -> None:
        headers = CIMultiDict(self._headers)
        method = self._parser.get_method().decode("ascii")
        target = self._target.decode("utf-8", "surrogateescape")
        if not self._lane.knows(method, target):
            # Sent ahead behind a body in chunks, in one piece with its end. It is left unread, and the connection ends
            # after the answers before it: whoever sends ahead must be ready to send again.
            raise _SentAhead
        check(headers)
        request = LaneRequest(self._lane.app, method, target, headers)
        self._request = request
        self._deadline = self._loop.time() + self._lane.body_seconds
        length = request.content_length
        if length is not None and length > request.client_max_size:
            # Refused by its length, after who it is: as by aiohttp.
            self._dispatch(last=True, whole=False)
        elif "Expect" in headers:
            if headers["Expect"].lower() != "100-continue":
                raise Refused(417, "nothing but 100-continue can be expected here", "Expect")
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
        self._open = False
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
                last = last or (self._last and not self._waiting)
                if self._writable is not None:
                    await self._writable.wait()
                self._transport.write(written(response, request.method, last=last))
                if last:
                    self._end()
                elif len(self._waiting) == MAX_AHEAD and self._foreign is None:
                    self._transport.resume_reading()
        except Exception:  # noqa: BLE001 - whatever it is, this connection is of no use any more
            _log.exception("a connection of the fast lane broke off")
            self._transport.abort()
        finally:
            self._task = None
            if not self._open and not self._start:
                self._deadline = self._loop.time() + KEEPALIVE_SECONDS
            if self._last:
                self._end()
            elif self._foreign is not None:
                self._transport.resume_reading()
                self._leave(self._foreign)

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

    def _refuse(self, refused: Refused | None) -> None:
        """Nothing more is taken; `refused` is answered, unless answers before it are still to come."""
        self._last = True
        self._cut = True
        if self._task is None:
            if refused is not None:
                self._transport.write(refused.written())
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
            elif self._open or self._start:
                self._refuse(Refused(408, "the request did not arrive in time"))
            else:
                self._transport.close()

    def close_when_idle(self) -> None:
        if self._task is None and not self._open and not self._start:
            self._last = True
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()


class _SentAhead(Exception):
    """A request that is not the lane's, in one piece with the end of one that is."""


def check(headers: CIMultiDict[str]) -> None:
    """Raises `Refused` if they leave in doubt who asks or where the request ends, or ask for what is not done here."""
    for once in ("Content-Length", "Authorization", "Host"):
        if len(headers.getall(once, ())) > 1:
            raise Refused(400, f"send one {once} header", once)
    coding = ",".join(headers.getall("Transfer-Encoding", ()))
    if coding and "Content-Length" in headers:
        # Two lengths: what one reader takes for the next request, another may not.
        raise Refused(400, "a body has a length or is sent in chunks, not both", "Content-Length")
    if coding.lower() not in ("", "chunked"):
        raise Refused(501, "a body is sent whole or in chunks", "Transfer-Encoding")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused(415, "a body is sent uncompressed", "Content-Encoding")


def _too_large() -> Refused:
    return Refused(431, f"a request's head has at most {MAX_HEADERS} headers and {MAX_HEAD_BYTES} bytes")


@lru_cache(maxsize=1024)
def _text(name: bytes) -> str:
    """A header's name. Most requests have the same ones."""
    return name.decode("utf-8", "surrogateescape")
