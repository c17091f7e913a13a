"""Answers too long to be held in memory: written as they are made, at the pace of whoever reads them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

from aiohttp import web

STALL_SECONDS: Final = 30.0
"""How long a reader may leave a full buffer unread before the answer is broken off."""

_log = logging.getLogger(__name__)


async def stream(
    request: web.Request,
    parts: AsyncGenerator[bytes, None],
    *,
    content_type: str,
    filename: str,
    headers: Mapping[str, str] | None = None,
) -> web.StreamResponse:
    """Send `parts`, one by one, as a file to be saved.

    The head is sent with the first part, so what is refused before it is still answered with a problem.
    What fails later breaks the connection: a chunked answer without its end cannot be taken for a whole one.
    """
    async with aclosing(parts):
        return await _stream(request, parts, content_type, filename, headers or {})


async def _stream(
    request: web.Request,
    parts: AsyncGenerator[bytes, None],
    content_type: str,
    filename: str,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    first = await anext(parts, b"")
    response = web.StreamResponse(headers={**headers, "Cache-Control": "no-store"})
    response.content_type = content_type
    response.charset = "utf-8"
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    await response.prepare(request)
    try:
        await _write(response, first)
        async for part in parts:
            await _write(response, part)
        await response.write_eof()
    except ConnectionError:
        _log.info("the reader of %s went away", filename)
    except Exception:  # noqa: BLE001 - whatever it is, the reader must see that this is not the whole
        _log.exception("%s broke off", filename)
        if request.transport is not None:
            request.transport.abort()
    return response


async def _write(response: web.StreamResponse, part: bytes) -> None:
    async with asyncio.timeout(STALL_SECONDS):
        await response.write(part)
