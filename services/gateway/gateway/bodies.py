"""Bodies on their way: bounded in size, time and number, and waited for apart from the work.

A body that has come with its head, which is the rule, is waited for by nobody. Whoever sends theirs slowly takes none of
the places that requests are worked on in, and only so many of those who wait.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from common.http.reading import BROKEN
from common.problem import FieldError, InvalidInput, PayloadTooLarge, RequestTimeout

from gateway.shedding import Overloaded

SHARE_OF_A_SENDER: Final = 4
"""One sender's bodies take at most one in so many of the places."""


class Bodies:
    """Reads bodies whole."""

    def __init__(self, *, places: int, timeout_seconds: float) -> None:
        """At most `places` bodies are waited for at once, each for `timeout_seconds`."""
        self._places = places
        self._timeout_seconds = timeout_seconds
        self._senders: Counter[str] = Counter()

    async def whole(self, request: web.Request, *, max_bytes: int, sender: str) -> bytes:
        """The whole body.

        Raises PayloadTooLarge beyond `max_bytes`, RequestTimeout if it dribbles in, InvalidInput if it breaks off,
        Overloaded if it would have to be waited for and too many are, of this sender or of all.
        """
        if (request.content_length or 0) > max_bytes:
            raise _too_large(max_bytes)
        if request.content.is_eof():
            return await _read(request, max_bytes)
        with self._place(sender):
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    return await _read(request, max_bytes)
            except TimeoutError:
                raise RequestTimeout("the body did not arrive in time", field="body") from None

    @contextmanager
    def _place(self, sender: str) -> Iterator[None]:
        most = max(1, self._places // SHARE_OF_A_SENDER)
        if self._senders[sender] >= most or self._senders.total() >= self._places:
            raise Overloaded("Too many bodies are on their way. Try again in a moment.", retry_after=1)
        self._senders[sender] += 1
        try:
            yield
        finally:
            self._senders[sender] -= 1
            if not self._senders[sender]:
                del self._senders[sender]


async def _read(request: web.Request, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
    except BROKEN as error:
        broken = FieldError("body", "did not arrive whole, or is not encoded as it says")
        raise InvalidInput((broken,)) from error
    return bytes(body)


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"a body has at most {max_bytes} bytes here", field="body")
