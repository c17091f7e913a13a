"""Passing a request on to a service and its answer back: bounded both ways, sent once, nothing leaked.

Only listed headers cross in either direction. A request's body is read whole (`bodies.py`) before the upstream hears of
it. Answers stream back, in the route's time: who does not read is let go.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from common.breaker import Breaker
from common.errors import DomainError, Unauthenticated, Unavailable
from common.problem import FieldError, InvalidInput, type_of
from common.telemetry.context import REQUEST_ID
from common.telemetry.traces import traceparent
from multidict import CIMultiDict
from pydantic import BaseModel, ValidationError
from yarl import URL

from gateway.domain import PublicRoute, Service

REQUEST_HEADERS = (
    "Accept",
    "Content-Type",
    "Idempotency-Key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)
TOLD_TO_IDENTITY = "User-Agent"
ADDRESS_HEADER = "X-Client-Address"
DEVICE_HEADER = "X-Signed-By-Device"
"""The device whose signature the gateway has verified. What a client says under this name goes no further."""
RESPONSE_HEADERS = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Type",
    "Idempotent-Replayed",
    "Retry-After",
    "WWW-Authenticate",
)
RETRY_AFTER_SECONDS = 1
CHUNK_BYTES = 64 * 1024


class UpstreamDown(Unavailable):
    """The service could not be reached: the request has not been sent."""

    slug = "upstream-down"
    title = "The service is not available"


class UpstreamBusy(Unavailable):
    """All places at the service are taken by requests that it is working on: the request has not been sent. That is no sign
    of a service that is down, so it does not open its circuit."""

    slug = "upstream-busy"
    title = "The service has too much to do now"


class UpstreamSilent(DomainError):
    """The service took the request and did not answer in time."""

    status = 504
    slug = "upstream-timeout"
    title = "The service did not answer in time"


class UpstreamBroke(DomainError):
    """The connection broke after the request was sent."""

    status = 502
    slug = "upstream-broke"
    title = "The service broke off"


class TokenRefused(Unavailable):
    """The service did not accept the token we made for it. The person's session is not to blame."""

    slug = "internal-token-refused"
    title = "The service is not available"


class ConnectionBroken(Exception):
    """Not an aiohttp error on purpose: aiohttp sends a DELETE again by itself when it sees one of its own."""


async def send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A client middleware that ends aiohttp's hidden retry of mutations it takes for idempotent."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":  # to ask again is harmless
            raise
        raise ConnectionBroken from error


def open_client() -> aiohttp.ClientSession:
    """A client for all upstreams; close it when done. How many requests are sent at once is bounded where they are sent."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "User-Agent"),
        middlewares=(send_once,),
    )


FAILURES = (UpstreamDown, UpstreamSilent, UpstreamBroke)
"""The errors that mean that a service did not answer."""


@dataclass(frozen=True, slots=True)
class Onward:
    """What goes on to the service, besides what the request itself says."""

    body: bytes
    address: str
    token: str | None = field(default=None, repr=False)
    device: str | None = None
    """The caller's device that has signed, verified."""


class Forwarder:
    """Passes requests on."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        upstreams: Mapping[Service, str],
        *,
        places: int,
        connect_seconds: float,
    ) -> None:
        """At most `places` requests are at a service at once; for a place, and then for a connection, each waits
        `connect_seconds`."""
        self._client = client
        self._places = {service: asyncio.Semaphore(places) for service in upstreams}
        self._upstreams = {service: base.rstrip("/") for service, base in upstreams.items()}
        self._connect_seconds = connect_seconds
        self._breakers = {service: Breaker(service, FAILURES) for service in upstreams}

    async def forward(self, request: web.Request, route: PublicRoute, onward: Onward) -> web.StreamResponse:
        """Send the request once and stream the answer back. The path must be canonical, the query plain.

        Raises InvalidInput, UpstreamBusy, UpstreamDown and CircuitOpen (not sent), UpstreamSilent and UpstreamBroke (the
        outcome is unknown), TokenRefused.
        """
        headers = _headers(request, route, onward)
        with self._breakers[route.service].attempt():
            async with self._place(self._places[route.service]):
                return await self._send(request, route, onward, headers)

    @asynccontextmanager
    async def _place(self, places: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._connect_seconds):
                await places.acquire()
        except TimeoutError:
            raise UpstreamBusy("Nothing was done. Try again.", retry_after=RETRY_AFTER_SECONDS) from None
        try:
            yield
        finally:
            places.release()

    async def _send(
        self, request: web.Request, route: PublicRoute, onward: Onward, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        # Only path and query: a request may name a whole URL, and its host is not ours to follow.
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        target = URL(f"{self._upstreams[route.service]}{request.rel_url.raw_path}{query}", encoded=True)
        timeout = aiohttp.ClientTimeout(total=route.timeout_seconds, connect=self._connect_seconds)
        try:
            async with self._client.request(
                route.method,
                target,
                data=onward.body or None,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                # An upstream that dies before this can still be told as a problem.
                is_refusal = answer.status == web.HTTPUnauthorized.status_code
                first = await (answer.content.read() if is_refusal else answer.content.readany())
                if is_refusal and onward.token is not None and _refuses_token(first):
                    raise TokenRefused("Try again in a moment.", retry_after=RETRY_AFTER_SECONDS)
                return await _stream_back(request, answer, first, route.timeout_seconds)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UpstreamDown("Nothing was done. Try again.", retry_after=RETRY_AFTER_SECONDS) from error
        except TimeoutError as error:
            raise UpstreamSilent(_unknown_outcome(route), retry_after=RETRY_AFTER_SECONDS) from error
        except (ConnectionBroken, aiohttp.ClientError) as error:
            raise UpstreamBroke(_unknown_outcome(route), retry_after=RETRY_AFTER_SECONDS) from error


def _headers(request: web.Request, route: PublicRoute, onward: Onward) -> CIMultiDict[str]:
    """What goes on of the request's headers, and ours. Raises InvalidInput for one that cannot be written."""
    headers = CIMultiDict(
        (name, _text(name, value)) for name in REQUEST_HEADERS for value in request.headers.getall(name, ())
    )
    ours = {"X-Request-Id": REQUEST_ID.get(), "traceparent": traceparent()}
    headers.extend({name: value for name, value in ours.items() if value is not None})
    if route.service is Service.IDENTITY:  # whose owner of a session recognises it by these
        headers[ADDRESS_HEADER] = onward.address
        # Whatever a browser calls itself is no reason to keep its owner out.
        agents = request.headers.getall(TOLD_TO_IDENTITY, ())
        headers.extend((TOLD_TO_IDENTITY, each.encode(errors="replace").decode()) for each in agents)
    if onward.device is not None:
        headers[DEVICE_HEADER] = onward.device
    if onward.token is not None:
        headers["Authorization"] = f"Bearer {onward.token}"
    return headers


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that are no text
        raise InvalidInput((FieldError(name, "must be UTF-8"),)) from None
    return value


class _Refusal(BaseModel):
    """What is looked at of a refusal."""

    type: str


def _refuses_token(body: bytes) -> bool:
    """Whether a service does not know who asks. That somebody has given a wrong password is told them in other words."""
    try:
        return _Refusal.model_validate_json(body).type == type_of(Unauthenticated.slug)
    except ValidationError:
        return True


async def _stream_back(
    request: web.Request, answer: aiohttp.ClientResponse, first: bytes, seconds: float
) -> web.StreamResponse:
    headers = CIMultiDict(
        (name, value) for name in RESPONSE_HEADERS for value in answer.headers.getall(name, ())
    )
    headers["X-Request-Id"] = REQUEST_ID.get() or ""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = answer.content_length
    await response.prepare(request)
    try:
        async with asyncio.timeout(seconds):
            await response.write(first)
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                await response.write(chunk)
            await response.write_eof()
    except (TimeoutError, OSError, aiohttp.ClientError):
        _break_off(request)
    return response


def _break_off(request: web.Request) -> None:
    """The status is out, so the one honest end left is to close: the client sees a body cut short."""
    if request.transport is not None:
        request.transport.abort()


def _unknown_outcome(route: PublicRoute) -> str:
    if route.method == "GET":
        return "Try again."
    return "Whether the request had its effect is not known: send it again with the same Idempotency-Key."
