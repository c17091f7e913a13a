"""The gateway's routes: every row of the table through the door, and its own pages."""

import json
from collections.abc import Sequence

from aiohttp import web
from common.http import Route, reply

from gateway.documents import DocumentUnavailable, PublicDocument
from gateway.domain import PublicRoute
from gateway.door import Door
from gateway.health import DeepHealth, HealthView

DOOR = web.AppKey("door", Door)
HEALTH = web.AppKey("health", DeepHealth)
PUBLIC_DOCUMENT = web.AppKey("public_document", PublicDocument)


async def health(request: web.Request) -> web.Response:
    """The health of everything behind the door.

    Every process with each of its dependencies. 503 when one is not ready.
    """
    view = await request.app[HEALTH].view()
    return reply(view, status=200 if view.status == "ok" else 503)


async def public_document(request: web.Request) -> web.Response:
    """This document."""
    document = await request.app[PUBLIC_DOCUMENT].get()
    body = json.dumps(document, ensure_ascii=False).encode()
    return web.Response(body=body, content_type="application/json")


def through_the_door(route: PublicRoute) -> Route:
    """A row of the table as a route. The service behind authenticates and documents; here it only passes."""

    async def enter(request: web.Request) -> web.StreamResponse:
        return await request.app[DOOR].enter(request, route)

    enter.__name__ = route.name
    return Route(route.method, route.path, enter, auth="none")


OWN_ROUTES = (Route("GET", "/v1/health", health, returns=HealthView, auth="none"),)


def routes_of(table: Sequence[PublicRoute]) -> tuple[Route, ...]:
    """All routes. `/openapi.json` comes before the one every service has, and so takes its place."""
    merged = Route("GET", "/openapi.json", public_document, auth="none", refusals=(DocumentUnavailable,))
    return (merged, *OWN_ROUTES, *(through_the_door(route) for route in table))
