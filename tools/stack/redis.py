"""The private Redis: sessions, limits and caches. It never evicts and never persists a secret."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.secrets import secret, write


def configuration(layout: Layout, folder: Path, *, bind: str) -> str:
    """The text of redis.conf."""
    return (
        f"bind {bind}\nport {layout.port('redis')}\ndir {folder}\nrequirepass {secret(layout, 'redis')}\n"
        'maxmemory-policy noeviction\nappendonly yes\nappendfsync everysec\nsave ""\n'
    )


def spec(layout: Layout) -> Spec:
    home = layout.home / "redis"
    home.mkdir(parents=True, exist_ok=True)
    write(home / "redis.conf", configuration(layout, home, bind="127.0.0.1"))
    return Spec(
        "redis",
        ["setpriv", "--pdeathsig", "TERM", "redis-server", str(home / "redis.conf")],
        {},
        ready=lambda: _answers(layout),
        directory=Path("/"),
    )


def url(layout: Layout) -> str:
    return f"redis://:{secret(layout, 'redis')}@{layout.address('redis')}/0"


async def _answers(layout: Layout) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", layout.port("redis"))
    except OSError:
        return False
    try:
        writer.write(f"AUTH {secret(layout, 'redis')}\r\nPING\r\n".encode())
        await writer.drain()
        return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()
