"""Wiring: what the gateway is made of, and in which order it starts and ends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web
from common import redis
from common.amqp import Link
from common.client import ServiceClient
from common.http import Check, build_app, openapi
from common.rate_limits import RateLimiter, tell_standing
from common.signing import SignatureVerifier
from redis.asyncio import Redis

from gateway.api import DOOR, HEALTH, OWN_ROUTES, PUBLIC_DOCUMENT, internal_pages, routes_of
from gateway.bodies import Bodies
from gateway.cors import preflight, shared_with
from gateway.devices import Devices
from gateway.documents import DOCUMENT, PublicDocument
from gateway.domain import PublicRoute
from gateway.door import Door
from gateway.forwarding import Forwarder, open_client
from gateway.health import DeepHealth
from gateway.live.doors import HUB, READER, MarketReader
from gateway.live.doors import ROUTES as LIVE_ROUTES
from gateway.live.feed import Feed
from gateway.live.hub import Hub
from gateway.reality import remind
from gateway.revocations import Revocations
from gateway.routes import ROUTES
from gateway.sessions import TokenExchange
from gateway.settings import Settings
from gateway.shedding import Shedder

TITLE = "El Carril"
EXCHANGE_TIMEOUT_SECONDS = 3.0

REDIS = web.AppKey("redis", Redis)
REVOCATIONS = web.AppKey("revocations", Revocations)

# A page sets its own policy; everything else is data that no browser should run, frame or keep.
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def gateway_app(settings: Settings, table: Sequence[PublicRoute] = ROUTES) -> web.Application:
    """The public door, with what the table lets through it."""
    app = build_app(
        settings,
        (*routes_of(table), *LIVE_ROUTES),
        title=TITLE,
        readiness=(Check("rate-limits", lambda app: redis.answers(app[REDIS])),),
        # Deaf is not unready: without notices nothing is kept, and each request asks identity.
        told={"revocations": lambda app: {"hearing": app[REVOCATIONS].hearing}},
    )
    app.on_response_prepare.append(_secure)
    app.on_response_prepare.append(tell_standing)
    app.on_response_prepare.append(remind)
    app.on_response_prepare.append(shared_with(settings.cors_origins))
    app.middlewares.insert(0, preflight(settings.cors_origins))
    app.middlewares.insert(0, internal_pages)
    app.cleanup_ctx.append(lambda app: _parts(app, settings, table))
    return app


async def _parts(
    app: web.Application, settings: Settings, table: Sequence[PublicRoute]
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        app[REDIS] = redis.connect(settings.redis_url.get_secret_value())
        stack.push_async_callback(app[REDIS].aclose)
        identity = await stack.enter_async_context(
            ServiceClient(settings.identity_url, timeout_seconds=EXCHANGE_TIMEOUT_SECONDS)
        )
        client = await stack.enter_async_context(open_client())
        exchange = TokenExchange(
            identity, keep_seconds=settings.token_keep_seconds, capacity=settings.sessions_kept
        )
        devices = Devices(
            identity,
            SignatureVerifier(app[REDIS], audience="gateway"),
            keep_seconds=settings.token_keep_seconds,
            capacity=settings.sessions_kept,
        )
        link = Link(settings.amqp_url.get_secret_value(), name=settings.service)
        stack.push_async_callback(link.close)
        app[REVOCATIONS] = Revocations(link, exchange, devices)
        await stack.enter_async_context(app[REVOCATIONS].running())
        app[DOOR] = Door(
            exchange,
            devices,
            RateLimiter(app[REDIS], prefix="gateway:limit"),
            settings.limits,
            Shedder(settings.requests_in_hand),
            Forwarder(
                client,
                settings.upstreams,
                places=settings.upstream_places,
                connect_seconds=settings.connect_seconds,
            ),
            Bodies(places=settings.bodies_waited_for, timeout_seconds=settings.body_timeout_seconds),
            trusted_proxies=settings.trusted_proxies,
        )
        app[READER] = MarketReader(client, settings.betting_url, exchange)
        hub = app[HUB] = Hub()
        stack.push_async_callback(hub.close)
        await stack.enter_async_context(Feed(link, hub).running())
        processes = {**{str(name): url for name, url in settings.upstreams.items()}, **settings.health_urls}
        app[HEALTH] = DeepHealth(client, processes)
        own = DOCUMENT.validate_python(openapi(OWN_ROUTES, TITLE, "1.0"))
        app[PUBLIC_DOCUMENT] = PublicDocument(client, settings.upstreams, table, own=own)
        yield


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
