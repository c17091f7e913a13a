"""The gateway's routes: every row of the table through the door, and its own pages."""

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler
from common.http import Route, reply
from common.problem import problem_response

from gateway.documents import DocumentUnavailable, PublicDocument
from gateway.domain import PublicRoute
from gateway.door import Door
from gateway.health import DeepHealth, HealthView, StatusView, status_of

DOOR = web.AppKey("door", Door)
HEALTH = web.AppKey("health", DeepHealth)
PUBLIC_DOCUMENT = web.AppKey("public_document", PublicDocument)


async def health(request: web.Request) -> web.Response:
    """The health of everything behind the door. Internal: not shown through a proxy.

    Every process with each of its dependencies, and how much waits in each outbox. 503 when one is not ready.
    """
    view = await request.app[HEALTH].view()
    return reply(view, status=200 if view.status == "ok" else 503)


async def status(request: web.Request) -> web.Response:
    """How we are, in plain words.

    What people can do now, without saying what it hangs on. 503 when something of it does not work.
    """
    view = status_of(await request.app[HEALTH].view())
    return reply(view, status=200 if view.status == "ok" else 503)


@web.middleware
async def internal_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Our own pages are for whoever reaches us directly: operators, probes, scrapers.

    What comes from outside comes through a proxy, which says so; for it these pages do not exist.
    """
    if request.path in INTERNAL and any(each in request.headers for each in FORWARDED):
        return problem_response(web.HTTPNotFound(), request)
    return await handler(request)


async def public_document(request: web.Request) -> web.Response:
    """This document."""
    document = await request.app[PUBLIC_DOCUMENT].get()
    return web.Response(body=document, content_type="application/json")


def through_the_door(route: PublicRoute) -> Route:
    """A row of the table as a route. The service behind authenticates and documents; here it only passes."""

    async def enter(request: web.Request) -> web.StreamResponse:
        return await request.app[DOOR].enter(request, route)

    enter.__name__ = route.name
    return Route(route.method, route.path, enter, auth="none")


OWN_ROUTES = (
    Route("GET", "/v1/status", status, returns=StatusView, auth="none"),
    Route("GET", "/v1/health", health, returns=HealthView, auth="none"),
)
INTERNAL = frozenset({"/v1/health", "/metrics", "/readyz"})
FORWARDED = ("Forwarded", "X-Forwarded-For")


def routes_of(table: Sequence[PublicRoute]) -> tuple[Route, ...]:
    """All routes. `/openapi.json` comes before the one every service has, and so takes its place."""
    merged = Route("GET", "/openapi.json", public_document, auth="none", refusals=(DocumentUnavailable,))
    return (merged, *OWN_ROUTES, *(through_the_door(route) for route in table))
