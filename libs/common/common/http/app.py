"""Building a service's application from its routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from aiohttp import web

from common.http.docs import add_docs
from common.http.edge import Edge, Endpoint
from common.http.health import Check, Readiness, Told
from common.http.lane import EDGE
from common.http.openapi import written
from common.http.reading import BODY_TIMEOUT_SECONDS
from common.http.routes import Auth, Authenticate, Handler, Route
from common.settings import ServiceSettings
from common.telemetry.access import AccessLog
from common.telemetry.traces import otlp_exporter, provide_traces

READINESS = web.AppKey("readiness", Readiness)


def build_app(
    settings: ServiceSettings,
    routes: Sequence[Route],
    *,
    title: str,
    readiness: Sequence[Check] = (),
    authenticate: Mapping[Auth, Authenticate] | None = None,
    version: str = "1.0",
    told: Told | None = None,
) -> web.Application:
    """An application that serves the routes, `/healthz`, `/readyz`, `/metrics`, `/openapi.json` and `/docs`.

    `told` are figures that `/readyz` shows besides its checks.
    `authenticate` says, for each `auth` its routes use, how to find out who is asking.
    Raises `ValueError` if one is missing or two handlers have the same name.
    """
    app = web.Application(client_max_size=settings.max_body_bytes)
    app[READINESS] = Readiness(readiness, told)
    app[BODY_TIMEOUT_SECONDS] = settings.body_timeout_seconds
    endpoints = {
        app.router.add_route(route.method, route.path, route.handler): _endpoint(route, authenticate or {})
        for route in routes
    }
    access = AccessLog(settings.service) if settings.log_level in ("DEBUG", "INFO") else None
    edge = Edge(endpoints | _system(app, routes, title, version), app[READINESS], access)
    app[EDGE] = edge
    app.middlewares.append(edge.middleware())
    app.cleanup_ctx.append(_traces(settings))
    app.on_startup.append(edge.start)
    app.on_cleanup.append(edge.stop)
    return app


def _endpoint(route: Route, authenticate: Mapping[Auth, Authenticate]) -> Endpoint:
    if route.auth != "none" and route.auth not in authenticate:
        raise ValueError(f"{route.method} {route.path} needs a way to authenticate by {route.auth}")
    return Endpoint(
        method=route.method,
        path=route.path,
        authenticate=authenticate.get(route.auth),
        roles=route.roles,
        idempotent=route.idempotent,
        step_up=route.step_up,
    )


def _system(
    app: web.Application, routes: Sequence[Route], title: str, version: str
) -> dict[web.AbstractRoute, Endpoint]:
    """What every service has besides its own routes."""
    paths: dict[str, Handler] = {
        "/healthz": app[READINESS].healthz,
        "/readyz": app[READINESS].readyz,
        "/metrics": app[READINESS].metrics,
        "/openapi.json": _document(written(tuple(routes), title, version)),
    }
    added = [*(app.router.add_get(*each) for each in paths.items()), *add_docs(app.router, title)]
    return {
        route: Endpoint("GET", route.resource.canonical if route.resource else "", quiet=True)
        for route in added
    }


def _document(document: bytes) -> Handler:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    return serve


def _traces(settings: ServiceSettings) -> Callable[[web.Application], AsyncIterator[None]]:
    """Send spans to the collector the settings name, if they name one, until the application ends."""

    async def context(_: web.Application) -> AsyncIterator[None]:
        if settings.otel_exporter_otlp_endpoint is None:
            yield
            return
        exporter = otlp_exporter(settings.otel_exporter_otlp_endpoint)
        provider = provide_traces(settings.service, exporter, ratio=settings.trace_ratio)
        yield
        await asyncio.to_thread(provider.shutdown)

    return context
