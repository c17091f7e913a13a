"""Everything that happens around a handler, in one middleware.

One and not six: each layer costs a coroutine and a closure per request, and the ledger answers
thousands of requests a second from one process.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import Histogram

from common.errors import Forbidden, Invalid, Unauthenticated
from common.http.health import Readiness
from common.http.routes import IDEMPOTENCY_KEY, PRINCIPAL, Authenticate, Principal
from common.problem import problem_response
from common.roles import Role
from common.telemetry.access import AccessLog
from common.telemetry.context import REQUEST_ID
from common.telemetry.traces import continued, span, traces_provided

REQUEST_ID_HEADER: Final = "X-Request-Id"
MAX_KEY_LENGTH: Final = 255
STEP_UP_WITHIN: Final = timedelta(minutes=15)
"""How recently somebody must have proved who they are for a dangerous act."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS: Final = Histogram(
    "http_request_duration_seconds",
    "Time from the request's head to its answer.",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class MissingKey(Invalid):
    """A mutation without a usable Idempotency-Key."""

    slug = "idempotency-key-missing"
    title = "Idempotency key missing or malformed"


class StepUpRequired(Forbidden):
    """Not without proving again who one is: `POST /v1/step-up`, then the same request once more."""

    slug = "step-up-required"
    title = "Prove who you are again"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the middleware needs to know of a route, worked out once."""

    method: str
    path: str
    authenticate: Authenticate | None = None
    roles: frozenset[Role] = frozenset()
    idempotent: bool = False
    step_up: bool = False
    quiet: bool = False
    """Health and metrics are asked every few seconds: only their failures are logged."""
    _observers: dict[int, Histogram] = field(default_factory=dict)

    def observe(self, status: int, seconds: float) -> None:
        """Count the request. The label look-up is done once per status."""
        observer = self._observers.get(status)
        if observer is None:
            observer = self._observers[status] = _SECONDS.labels(self.method, self.path, status)
        observer.observe(seconds)


_UNMATCHED: Final = Endpoint(method="any", path="unmatched")


class Edge:
    """Request id, trace, caller, role, idempotency key, problem+json, metrics and access log."""

    def __init__(
        self,
        endpoints: Mapping[web.AbstractRoute, Endpoint],
        readiness: Readiness,
        access: AccessLog | None,
    ) -> None:
        """`access` None means that requests are not logged."""
        self._endpoints = endpoints
        self._readiness = readiness
        self._access = access
        self._spans = False

    def middleware(self) -> Middleware:
        """The middleware, as aiohttp wants it: a plain function."""

        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self.around(request, handler)

        return around

    async def start(self, _: web.Application) -> None:
        """Ask once whether spans are wanted."""
        self._spans = traces_provided()

    async def stop(self, _: web.Application) -> None:
        """Write what is still to be logged."""
        if self._access is not None:
            self._access.flush()

    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Have the request answered; every error becomes an answer."""
        started = perf_counter()
        request_id = _request_id(request)
        REQUEST_ID.set(request_id)  # never reset: a connection's task has one request at a time
        endpoint = self._endpoints.get(request.match_info.route, _UNMATCHED)
        response = await self._traced(request, handler, endpoint)
        if not response.prepared:
            response.headers[REQUEST_ID_HEADER] = request_id
            if self._readiness.draining:
                response.force_close()
        seconds = perf_counter() - started
        endpoint.observe(response.status, seconds)
        if self._access is not None and (not endpoint.quiet or response.status >= 500):
            principal = request.get(PRINCIPAL)
            self._access.note(
                request.method,
                request.path,
                response.status,
                seconds=seconds,
                request_id=request_id,
                subject=None if principal is None else principal.subject,
            )
        return response

    async def _traced(self, request: web.Request, handler: Handler, endpoint: Endpoint) -> web.StreamResponse:
        if self._spans and not endpoint.quiet:
            name = f"{endpoint.method} {endpoint.path}"
            with span(name, parent=request.headers, kind=SpanKind.SERVER) as current:
                response = await _answered(request, handler, endpoint)
                current.set_attribute("http.response.status_code", response.status)
                if response.status >= 500:
                    current.set_status(StatusCode.ERROR)
                return response
        if "traceparent" in request.headers:
            with continued(request.headers):
                return await _answered(request, handler, endpoint)
        return await _answered(request, handler, endpoint)


async def _answered(request: web.Request, handler: Handler, endpoint: Endpoint) -> web.StreamResponse:
    try:
        return await _admitted(request, handler, endpoint)
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
        return problem_response(error, request)


async def _admitted(request: web.Request, handler: Handler, endpoint: Endpoint) -> web.StreamResponse:
    """Call the handler for a caller who may, with what the route promises it."""
    if endpoint.authenticate is not None:
        principal = await endpoint.authenticate(request)
        if endpoint.roles and principal.role not in endpoint.roles:
            raise Forbidden("your role may not do this")
        if endpoint.step_up:
            _expect_proof(principal)
        request[PRINCIPAL] = principal
    if endpoint.idempotent:
        request[IDEMPOTENCY_KEY] = _idempotency_key(request)
    return await handler(request)


def bearer(request: web.Request) -> str:
    """The credential in the Authorization header. Raises `Unauthenticated` without one."""
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated("send a bearer credential", field="Authorization")
    return credential


def _expect_proof(principal: Principal) -> None:
    if principal.proved_at is None or datetime.now(UTC) - principal.proved_at > STEP_UP_WITHIN:
        raise StepUpRequired("Step up, then ask again.")


def _idempotency_key(request: web.Request) -> str:
    keys = request.headers.getall("Idempotency-Key", ())
    key = keys[0] if len(keys) == 1 else ""
    if not 0 < len(key) <= MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
        detail = f"send one Idempotency-Key of 1 to {MAX_KEY_LENGTH} printable ASCII characters"
        raise MissingKey(detail, field="Idempotency-Key")
    return key


def _request_id(request: web.Request) -> str:
    """The caller's id for this request if it is a sane one, else a new one."""
    given = request.headers.get(REQUEST_ID_HEADER)
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given
    return os.urandom(16).hex()
