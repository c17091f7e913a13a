"""The public door: what every request goes through before a service hears of it."""

from collections.abc import Mapping

from aiohttp import web
from common.http import PRINCIPAL, Principal
from common.rate_limits import Charge, RateLimit, RateLimiter

from gateway.domain import Access, LimitClass, NoSuchRoute, PublicRoute, RoleForbidden, is_canonical
from gateway.forwarding import Forwarder, TokenRefused, read_bounded
from gateway.sessions import TokenExchange, session_secret


class Door:
    """Checks address, session, role, rate and size, in the order of what they cost; then passes on."""

    def __init__(
        self,
        exchange: TokenExchange,
        limiter: RateLimiter,
        limits: Mapping[LimitClass, RateLimit],
        forwarder: Forwarder,
        *,
        body_timeout_seconds: float,
    ) -> None:
        self._exchange = exchange
        self._limiter = limiter
        self._limits = limits
        self._forwarder = forwarder
        self._body_timeout_seconds = body_timeout_seconds

    async def enter(self, request: web.Request, route: PublicRoute) -> web.StreamResponse:
        """The service's answer to a request that may pass. Raises a refusal otherwise."""
        if not is_canonical(request.rel_url.raw_path, request.rel_url.raw_query_string):
            raise NoSuchRoute("no public route has this path")
        if route.access is Access.PUBLIC:
            return await self._pass(request, route, limited_as=request.remote or "", token=None)
        return await self._enter_with_session(request, route)

    async def _enter_with_session(self, request: web.Request, route: PublicRoute) -> web.StreamResponse:
        secret = session_secret(request)
        token = await self._exchange.token_for(secret, route.service)
        request[PRINCIPAL] = Principal(token.subject, token.role)
        if not route.admits(token.role):
            raise RoleForbidden("your role may not do this")
        try:
            return await self._pass(request, route, limited_as=token.subject, token=token.token)
        except TokenRefused:
            self._exchange.forget(secret)
            raise
        finally:
            if route.ends_session:
                self._exchange.forget(secret)

    async def _pass(
        self, request: web.Request, route: PublicRoute, *, limited_as: str, token: str | None
    ) -> web.StreamResponse:
        if route.limit is not None:
            await self._limiter.admit_request(request, Charge(self._limits[route.limit], limited_as))
        body = await read_bounded(
            request, max_bytes=route.max_body_bytes, timeout_seconds=self._body_timeout_seconds
        )
        return await self._forwarder.forward(request, route, body=body, token=token)
