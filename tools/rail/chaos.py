"""The rail's transport faults: the same as the card provider's, drawn in the same way."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from tools.chaos_psp.faults import ASKING, SENDING, Faults
from tools.rail.book import Behaviour, Book

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SEEN: Final = web.AppKey("seen", Counter[str])
STRUCK: Final = web.AppKey("struck", Counter[str])
"""How often each fault has struck."""


def faults_of(behaviour: Behaviour) -> Faults:
    """What may strike; nothing without a seed."""
    if behaviour.chaos_seed is None:
        return Faults()
    return Faults(behaviour.chaos_seed, dict.fromkeys((*SENDING, *ASKING), behaviour.chaos_rate))


def strike_by(behaviour_key: web.AppKey[Behaviour], book_of: Callable[[web.Application], Book]) -> Middleware:
    """A middleware that hurts the first request of its kind for one thing."""

    @web.middleware
    async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
        behaviour = request.app[behaviour_key]
        label = await _label(request, book_of(request.app)) if behaviour.chaos_seed is not None else None
        if label is None:
            return await handler(request)
        sending = request.method == "POST"
        what = f"{request.method} {request.path.split('/')[1]} {label}"
        first = request.app[SEEN][what] == 0
        request.app[SEEN][what] += 1
        struck = faults_of(behaviour).one_of(SENDING if sending else ASKING, what) if first else None
        if struck is not None:
            request.app[STRUCK][struck] += 1
        if struck in ("timeout_before", "query_timeout"):
            return await _hang(request, behaviour)
        answer = await handler(request)
        return await _spoil(request, behaviour, struck, answer)

    return strike


async def told_of_faults(request: web.Request) -> web.Response:
    """How often each fault has struck."""
    return web.json_response(dict(sorted(request.app[STRUCK].items())))


async def _spoil(
    request: web.Request, behaviour: Behaviour, struck: str | None, answer: web.StreamResponse
) -> web.StreamResponse:
    match struck:
        case "timeout_after":
            return await _hang(request, behaviour)
        case "reset_mid_body" | "query_reset":
            return _abort(request)
        case "ok_with_error_body" | "query_error_body":
            return web.json_response({"error": "temporalmente no disponible"})
        case "error_after_success":
            return web.json_response({"error": "interno"}, status=500)
        case "html_502" | "query_html_502":
            return web.Response(status=502, text="<html>502</html>", content_type="text/html")
        case "conflict_in_progress":
            return web.json_response({"error": "en proceso"}, status=409)
        case _:
            return answer


async def _label(request: web.Request, book: Book) -> str | None:
    """What a request is about, whatever our claves are; None for what is not to be hurt."""
    if request.method == "POST" and request.path in ("/orders", "/ted/orders"):
        wish = json.loads(await request.read())
        return f"{wish.get('beneficiary_clabe')}:{wish.get('amount')}"
    clave = request.match_info.get("clave") or request.query.get("clave")
    if request.method != "GET" or clave is None:
        return None
    order = book.orders.get(clave.upper())
    if order is not None:
        return f"{order.beneficiary_clabe}:{order.amount}"
    return clave if "orders" not in request.path else None


async def _hang(request: web.Request, behaviour: Behaviour) -> web.Response:
    await asyncio.sleep(behaviour.hold_seconds)
    return _abort(request)


def _abort(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)
