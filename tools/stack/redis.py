"""The private Redis servers. `redis` holds sessions, limits and caches: it never evicts and keeps an append-only file.
`redis-cache` holds the ledger's balances: it forgets what it has no room for, and everything when it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.secrets import secret, write

SESSIONS: Final = "redis"
CACHE: Final = "redis-cache"

_KEEPING: Final = {
    SESSIONS: 'maxmemory-policy noeviction\nappendonly yes\nappendfsync everysec\nsave ""\n',
    CACHE: 'maxmemory 64mb\nmaxmemory-policy allkeys-lru\nappendonly no\nsave ""\n',
}


def configuration(layout: Layout, name: str, folder: Path, *, bind: str) -> str:
    """The text of that server's redis.conf."""
    return f"bind {bind}\nport {layout.port(name)}\ndir {folder}\nrequirepass {secret(layout, name)}\n{_KEEPING[name]}"


def spec(layout: Layout, name: str) -> Spec:
    home = layout.home / name
    home.mkdir(parents=True, exist_ok=True)
    write(home / "redis.conf", configuration(layout, name, home, bind="127.0.0.1"))
    return Spec(
        name,
        ["setpriv", "--pdeathsig", "TERM", "redis-server", str(home / "redis.conf")],
        {},
        ready=lambda: _answers(layout, name),
        directory=Path("/"),
    )


def url(layout: Layout, name: str = SESSIONS) -> str:
    return f"redis://:{secret(layout, name)}@{layout.address(name)}/0"


async def _answers(layout: Layout, name: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", layout.port(name))
    except OSError:
        return False
    try:
        writer.write(f"AUTH {secret(layout, name)}\r\nPING\r\n".encode())
        await writer.drain()
        return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()
