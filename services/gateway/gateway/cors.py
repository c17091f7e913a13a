"""Which web pages of other origins may call us (CORS), and what their browsers may send and see.

Credentials travel in a header that scripts set themselves, never in cookies, so no page can act for a person
without having their session: `Access-Control-Allow-Credentials` is not sent.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

SENT: Final = ", ".join(
    (
        "Authorization",
        "Content-Digest",
        "Content-Type",
        "Idempotency-Key",
        "Signature",
        "Signature-Input",
        "X-Request-Id",
    )
)
SEEN: Final = ", ".join(
    ("Idempotent-Replayed", "RateLimit", "RateLimit-Policy", "Reality-Check", "Retry-After", "X-Request-Id")
)
METHODS: Final = "GET, POST, PUT, PATCH, DELETE"
PREFLIGHT_SECONDS: Final = "600"


def preflight(origins: Collection[str]) -> Middleware:
    """Answers a browser that asks before it sends. `origins` are whole (`https://app.example`), to the letter."""

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not asks or request.headers.get(hdrs.ORIGIN) not in origins:
            return await handler(request)
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: SENT,
            hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_SECONDS,
        }
        return web.Response(status=204, headers=headers)

    return around


def shared_with(
    origins: Collection[str],
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Lets those origins' scripts see every answer, refusals too; for `on_response_prepare`."""

    async def share(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and origin in origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = SEEN

    return share
