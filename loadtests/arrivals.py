"""A client that costs little: posts over connections that stay open, as they are due, whatever the answers do.

k6 takes a quarter of a millisecond of a core for a request and cannot ask for more than about 3,000 a second here, of
the cores that the ledger needs. This one writes bytes that were put together before and reads of an answer the status,
`Retry-After` and the length: some thirty microseconds. What is due while no connection is free is counted as dropped,
and a wait is counted from when the request was due.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol, Self, cast
from urllib.parse import urlsplit
from uuid import uuid4

from loadtests.books import account, transfer

TICK_SECONDS: Final = 0.001
BODIES: Final = 4_000
"""Different transfers, taken in turns."""


@dataclass
class Told:
    """What was answered. `waits` are of accepted requests, in milliseconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    turned_away: list[float] = field(default_factory=list)
    """How long those had to wait for their answer who were refused."""
    refused: list[str] = field(default_factory=list)
    """Keys to be sent again."""
    dropped: int = 0
    late: int = 0
    """Accepted after the time was over."""

    def p(self, share: float) -> float:
        """That quantile of the accepted requests' waits."""
        return quantile(self.waits, share)


def quantile(waits: Sequence[float], share: float) -> float:
    """0 when there are none."""
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Requests(Protocol):
    """What is to be sent."""

    def fresh(self) -> str:
        """A key that was not used before."""

    def request(self, key: str) -> bytes:
        """The request under that key, the same ever again."""


class Posts:
    """The ledger's requests: each with a key of its own, between random pairs of accounts. `batch` entries in each."""

    def __init__(self, url: str, key: str, accounts: int, batch: int = 1) -> None:
        self._batch = batch
        self._run = uuid4().hex[:12]
        self._n = 0
        self._bodies = [self._body(accounts) for _ in range(BODIES)]
        path = "/v1/entries" if batch == 1 else "/v1/entries/batch"
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {key}\r\n"
            "Content-Type: application/json\r\n"
        )

    @staticmethod
    def _body(accounts: int) -> str:
        debit, credit = random.sample(range(accounts), 2)
        return json.dumps(transfer(account(debit), account(credit), "0.01"), separators=(",", ":"))

    def fresh(self) -> str:
        """A key that was not used before."""
        self._n += 1
        return f"{self._run}-{self._n}"

    def request(self, key: str) -> bytes:
        """The request under that key, the same ever again."""
        at = int(key.rpartition("-")[2]) * self._batch
        if self._batch == 1:
            body, header = self._bodies[at % BODIES], f"Idempotency-Key: {key}\r\n"
        else:
            entries = (
                f'[{{"idempotency_key":"{key}-{i}",{self._bodies[(at + i) % BODIES][1:]}]'
                for i in range(self._batch)
            )
            body, header = f'{{"groups":[{",".join(entries)}]}}', ""
        return f"{self._head}{header}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Line(asyncio.Protocol):
    """One connection that stays open, one request at a time."""

    def __init__(
        self, answered: Callable[[Line, int, float], None], failed: Callable[[Exception], None]
    ) -> None:
        """`answered` is told the status and how long to stay away; `failed` why there will be no answer. Both find the
        answer's `body`."""
        self._answered = answered
        self._failed = failed
        self._got = b""
        self._open = True
        self.body = b""
        self.key = ""
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, key: str, request: bytes, due: float) -> None:
        self.key, self.due = key, due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got = self._got + data if self._got else data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or len(body) < int(_header(head, b"content-length: ")):
            return
        self._got, self.body = b"", body
        self._answered(self, int(head[9:12]), float(_header(head, b"retry-after: ") or 0))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._open:
            self._failed(exc or ConnectionResetError("the server hung up"))

    def close(self) -> None:
        self._open = False
        self._transport.close()


def _header(head: bytes, name: bytes) -> bytes:
    return head.lower().partition(b"\r\n" + name)[2].partition(b"\r\n")[0]


class Client:
    """Connections, and what came of what was sent over them in the last act."""

    def __init__(self, posts: Requests, *, look: Callable[[int, bytes], object] | None = None) -> None:
        """`look` is shown every answer, its status and its body; without it any but an acceptance or a refusal for a while is
        the end of the run."""
        self._posts = posts
        self._look = look
        self._free: list[Line] = []
        self._busy = 0
        self._thinking = 0
        self._idle = asyncio.Event()
        self._then: Callable[[Line, float], None] = self._rest
        self._over = 0.0
        self._broken: Exception | None = None
        self.told = Told()

    @asynccontextmanager
    async def connected(self, url: str, connections: int) -> AsyncIterator[Self]:
        """With so many connections open to `url`."""
        loop, parts = asyncio.get_running_loop(), urlsplit(url)
        lines = []
        for _ in range(connections):
            _, line = await loop.create_connection(
                lambda: Line(self._answered, self._failed), parts.hostname or "127.0.0.1", parts.port or 80
            )
            lines.append(line)
        self._free = list(lines)
        try:
            yield self
        finally:
            for line in lines:
                line.close()

    async def closed_loop(self, connections: int, seconds: float) -> Told:
        """So many connections, each of which sends again when it was answered."""
        began = self._begin(seconds)

        def send_again(line: Line, _: float) -> None:
            if (now := time.perf_counter()) < self._over:
                self._send(line, self._posts.fresh(), now)
            else:
                self._rest(line, 0)

        self._then = send_again
        for _ in range(connections):
            self._send(self._free.pop(), self._posts.fresh(), began)
        return await self._end()

    async def callers(self, rate: float, seconds: float) -> Told:
        """As many callers as there are connections, who together would like `rate` requests a second: each thinks for a
        while after an answer, and after a refusal stays away for as long as it was told, to send the same again."""
        loop, think = asyncio.get_running_loop(), len(self._free) / rate
        self._begin(seconds)

        def send(line: Line, key: str) -> None:
            if (now := time.perf_counter()) < self._over:
                self._send(line, key, now)
            else:
                self._rest(line, 0)

        def come_again(line: Line, stay_away: float) -> None:
            self._thinking += 1
            if stay_away:
                key = self.told.refused.pop() if time.perf_counter() < self._over - stay_away else ""
                loop.call_later(stay_away, woken, line, key)
            else:
                loop.call_later(random.expovariate(1 / think), woken, line, "")

        def woken(line: Line, key: str) -> None:
            self._thinking -= 1
            send(line, key or self._posts.fresh())

        self._then = come_again
        for line in tuple(self._free):
            self._free.remove(line)
            come_again(line, 0.0)
        self._idle.clear()
        return await self._end()

    async def arriving(self, rate: float, seconds: float) -> Told:
        """`rate` requests a second, evenly, as they are due; what finds no free connection is dropped."""
        began = self._begin(seconds)
        sent = 0
        while (now := time.perf_counter()) < self._over:
            while sent < rate * (now - began):
                due = began + sent / rate
                sent += 1
                if self._free:
                    self._send(self._free.pop(), self._posts.fresh(), due)
                else:
                    self.told.dropped += 1
            await asyncio.sleep(TICK_SECONDS)
        return await self._end()

    async def once_more(self, keys: Sequence[str], connections: int) -> Told:
        """Send these, over so many connections; those that are refused are in what is told."""
        began = self._begin(float("inf"))
        left = iter(keys)

        def send_next(line: Line, _: float) -> None:
            key = next(left, None)
            if key is None:
                self._rest(line, 0)
            else:
                self._send(line, key, time.perf_counter())

        self._then = send_next
        for key in islice(left, connections):
            self._send(self._free.pop(), key, began)
        return await self._end()

    def _begin(self, seconds: float) -> float:
        began = time.perf_counter()
        self.told, self._over, self._then = Told(), began + seconds, self._rest
        return began

    def _send(self, line: Line, key: str, due: float) -> None:
        self._busy += 1
        self._idle.clear()
        line.send(key, self._posts.request(key), due)

    def _answered(self, line: Line, status: int, stay_away: float) -> None:
        self._busy -= 1
        now, told, key = time.perf_counter(), self.told, line.key
        waited = (now - line.due) * 1_000
        told.statuses[status] += 1
        if self._look is not None:
            self._look(status, line.body)
        if status in (200, 201):
            told.late += now > self._over
            told.waits.append(waited)
        elif status in (429, 503) and stay_away > 0:
            told.refused.append(key)
            told.turned_away.append(waited)
        elif self._look is None:
            self._failed(RuntimeError(f"{key} was answered {status}, Retry-After {stay_away}"))
        self._then(line, stay_away)

    def _rest(self, line: Line, _: float) -> None:
        self._free.append(line)
        if not self._busy and not self._thinking:
            self._idle.set()

    def _failed(self, why: Exception) -> None:
        self._broken = self._broken or why
        self._idle.set()

    async def _end(self) -> Told:
        """When all are answered. Raises what went wrong."""
        if self._busy or self._thinking:
            await self._idle.wait()
        if self._broken is not None:
            raise self._broken
        return self.told
