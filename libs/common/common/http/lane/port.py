"""The port with a lane."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from common.http.lane.connection import Connection
from common.http.lane.served import Lane


@asynccontextmanager
async def lane(
    app: web.Application,
    paths: Sequence[tuple[str, str]],
    others: web.Server,
    *,
    host: str,
    port: int,
    shutdown_seconds: float,
) -> AsyncIterator[int]:
    """Serve until the context ends, then drain what is in the lane; yields the port. The application must have started, and
    its server `others` is to be ended after this."""
    served = Lane(app, paths, others)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(served), host, port, backlog=1024)
    sweeping = asyncio.create_task(served.sweep(), name="lane-sweep")
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await served.drain(shutdown_seconds)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
