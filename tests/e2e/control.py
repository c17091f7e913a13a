"""Orders to the supervisor of the stack under test."""

from __future__ import annotations

import asyncio
import json

from common.testing import Stack


async def order(running: Stack, act: str, process: str, **more: str) -> None:
    """Send one order about one process and wait until it is carried out."""
    reader, writer = await asyncio.open_unix_connection(running.control)
    writer.write(json.dumps({"act": act, "process": process, **more}).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    assert "error" not in answer, answer
