"""What is served in the lane, and who is in it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, cast

from aiohttp import web
from aiohttp.typedefs import Handler

from common.http.edge import Edge
from common.http.lane.request import LaneRequest, Matched
from common.http.reading import BODY_TIMEOUT_SECONDS

EDGE: Final = web.AppKey("edge", Edge)

SWEEP_SECONDS: Final = 0.5
"""How late a deadline may be noticed."""


class Guest(Protocol):
    """A connection, as the lane sees it."""

    def check(self, now: float) -> None:
        """See to its deadlines. `now` is the loop's time in seconds."""

    def close_when_idle(self) -> None:
        """Close it unless a request is on its way."""

    def abort(self) -> None:
        """Break it off."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A route as the lane serves it."""

    handler: Handler
    match: Matched


class Lane:
    """One port's connections, and what they are served."""

    def __init__(self, app: web.Application, paths: Sequence[tuple[str, str]], others: web.Server) -> None:
        """Serve the routes of `app` with these methods and paths; `others` is where all other requests go.

        Raises `LookupError` if the application has no such route.
        """
        self.app = app
        self.others = others
        self._around = app[EDGE].around
        self.body_seconds = app[BODY_TIMEOUT_SECONDS]
        known = {
            (route.method, route.resource.canonical): route for route in app.router.routes() if route.resource
        }
        self._places: dict[tuple[str, str], _Place] = {}
        for method, path in paths:
            route = known.get((method, path))
            if route is None:
                raise LookupError(f"the application has no route {method} {path}")
            self._places[method, path] = _Place(route.handler, Matched(route))
        self._lines = tuple(f"{method} {path} HTTP/1.1\r\n".encode() for method, path in paths)
        self.connections: set[Guest] = set()
        self.closing = False

    def takes(self, start: bytes) -> bool | None:
        """Whether a request that begins so is the lane's. None: it has to be seen more of it."""
        if start.startswith(self._lines):
            return True
        return None if any(line.startswith(start) for line in self._lines) else False

    def knows(self, method: str, target: str) -> bool:
        """Whether a request that has been read is the lane's."""
        return (method, target) in self._places

    async def answer(self, request: LaneRequest) -> web.Response:
        """What the application answers, its errors included."""
        place = self._places[request.method, request.path]
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
