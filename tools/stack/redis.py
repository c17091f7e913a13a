"""The private Redis: sessions, limits and caches. It never evicts and never persists a secret."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.secrets import secret, write


def spec(layout: Layout) -> Spec:
    home = layout.home / "redis"
    home.mkdir(parents=True, exist_ok=True)
    configuration = home / "redis.conf"
    write(
        configuration,
        f"bind 127.0.0.1\nport {layout.port('redis')}\ndir {home}\nrequirepass {secret(layout, 'redis')}\n"
        'maxmemory-policy noeviction\nappendonly yes\nappendfsync everysec\nsave ""\n',
    )
    return Spec(
        "redis",
        ["setpriv", "--pdeathsig", "TERM", "redis-server", str(configuration)],
        {},
        ready=lambda: _answers(layout),
        directory=Path("/"),
    )


def url(layout: Layout) -> str:
    return f"redis://:{secret(layout, 'redis')}@127.0.0.1:{layout.port('redis')}/0"


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
