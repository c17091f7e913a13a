"""A TCP link that can go wrong on purpose, between any client and any server.

Tests use `Proxy` in their own process; by hand or from a chaos script it is a process that takes its orders
from standard input, one a line:

    python -m tools.proxy --to 127.0.0.1:21021 --listen 21090
    stall | flow | delay 0.2 | reset | half-open
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

CHUNK: Final = 65_536
IN_FLIGHT: Final = 64
"""Chunks of one direction under way while the link is slow; beyond it the sender feels the pressure."""
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Passes bytes both ways between a port of its own and a server's."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._delay_seconds = 0.0
        self._connections: set[_Connection] = set()
        self.port = 0

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[Proxy]:
        """Accept connections, by default on a free port, which `port` then tells."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.reset()

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    def flow(self) -> None:
        """Let everything through again, at once. A half-open connection stays what it is."""
        self._delay_seconds = 0.0
        self._flowing.set()

    def lead_to(self, host: str, port: int) -> None:
        """Take new connections to another server, as a load balancer does when one is gone."""
        self._host, self._port = host, port

    def stall(self) -> None:
        """Let nothing through, without a word. New connections are accepted and as silent."""
        self._flowing.clear()

    def delay(self, seconds: float) -> None:
        """Let every byte arrive that much later, in both directions; the throughput stays."""
        self._delay_seconds = seconds

    def reset(self) -> None:
        """Break every connection there is with a RST on both sides. New ones may be made."""
        for connection in tuple(self._connections):
            connection.reset()

    def half_open(self) -> None:
        """The server forgets every connection there is and the client is not told: what it says is
        swallowed, and nothing answers. New connections work."""
        for connection in self._connections:
            connection.forget_server()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(self._host, self._port)
        finally:
            self._connections.discard(connection)

    async def passable(self, due: float) -> None:
        """Wait until what was sent has been under way for the delay, and the link flows."""
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        await self._flowing.wait()

    def due(self) -> float:
        """When what is sent now arrives."""
        return asyncio.get_running_loop().time() + self._delay_seconds


class _Connection:
    """One client's connection and the one to the server behind it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._server: asyncio.StreamWriter | None = None
        self._forgotten = False
        self._over = asyncio.Event()

    async def run(self, host: str, port: int) -> None:
        """Carry until one side ends, or until it is reset."""
        carrying: list[asyncio.Task[None]] = []
        try:
            with contextlib.suppress(OSError):
                server_reader, self._server = await asyncio.open_connection(host, port)
                carrying = [
                    asyncio.create_task(self._carry(self._reader, self._server)),
                    asyncio.create_task(self._carry(server_reader, self._writer)),
                    asyncio.create_task(self._told_to_end()),
                ]
                await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in carrying:
                task.cancel()
            await asyncio.gather(*carrying, return_exceptions=True)
            for writer in (self._writer, self._server):
                if writer is not None:
                    writer.transport.abort()

    async def _told_to_end(self) -> None:
        await self._over.wait()

    def reset(self) -> None:
        self._forgotten = True  # what is still under way must not arrive
        for writer in (self._writer, self._server):
            if writer is not None:
                _reset_when_closed(writer)
        self._over.set()

    def forget_server(self) -> None:
        self._forgotten = True
        if self._server is not None:
            self._server.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Returns when this direction has ended, which ends the connection; a forgotten one does not end."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        delivering = asyncio.create_task(self._deliver(under_way, writer))
        try:
            with contextlib.suppress(OSError):
                while chunk := await reader.read(CHUNK):
                    await under_way.put((self._proxy.due(), chunk))
            if self._forgotten and writer is self._writer:
                await self._over.wait()  # the server is gone, and the client must not notice
            await under_way.put((self._proxy.due(), b""))
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, chunk = await under_way.get()
            await self._proxy.passable(due)
            if not chunk:
                return
            if self._forgotten:
                continue
            with contextlib.suppress(OSError):
                writer.write(chunk)
                await writer.drain()


def _reset_when_closed(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


async def _obey(proxy: Proxy) -> None:
    """Carry out orders from standard input until it ends."""
    while line := (await asyncio.to_thread(sys.stdin.readline)):
        match line.split():
            case ["stall"]:
                proxy.stall()
            case ["flow"]:
                proxy.flow()
            case ["delay", seconds] if seconds.replace(".", "", 1).isdigit():
                proxy.delay(float(seconds))
            case ["reset"]:
                proxy.reset()
            case ["half-open"]:
                proxy.half_open()
            case []:
                continue
            case _:
                print("stall | flow | delay SECONDS | reset | half-open", file=sys.stderr)
                continue
        print(f"{line.strip()}: {proxy.connections} connections", flush=True)


async def main() -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser(prog="python -m tools.proxy", description="A link that goes wrong.")
    parser.add_argument("--to", required=True, help="the server, HOST:PORT")
    parser.add_argument("--listen", type=int, default=0, help="the port here; a free one unless given")
    wanted = parser.parse_args()
    host, _, port = wanted.to.rpartition(":")
    async with Proxy(host, int(port)).listening(wanted.listen) as proxy:
        print(f"listening on 127.0.0.1:{proxy.port}", flush=True)
        await _obey(proxy)


if __name__ == "__main__":
    asyncio.run(main())
