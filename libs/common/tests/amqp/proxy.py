"""A TCP link that can be stalled and cut, between a client and the real broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK = 65_536


class Proxy:
    """Passes bytes both ways between its own port and the broker's."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def stall(self) -> None:
        """Let nothing through, without a word: the half-open link."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    def cut(self) -> None:
        """Break every connection there is. New ones may be made."""
        for connection in self._connections:
            connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
            try:
                with contextlib.suppress(OSError):
                    await asyncio.gather(
                        self._pass(reader, upstream_writer), self._pass(upstream_reader, writer)
                    )
            finally:
                upstream_writer.transport.abort()
        except asyncio.CancelledError:
            pass  # cut; asyncio's server would log it as an error
        finally:
            writer.transport.abort()
            self._connections.discard(connection)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError
