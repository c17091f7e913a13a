"""The public door: what every request goes through before a service hears of it."""

from collections.abc import Mapping, Sequence

from aiohttp import web
from common.http import PRINCIPAL, Principal
from common.rate_limits import Charge, RateLimit, RateLimiter
from common.roles import Role
from common.signing import claimed_key_id

from gateway.addresses import Network, client_address, counted_as
from gateway.bodies import Bodies
from gateway.devices import Devices
from gateway.domain import (
    Access,
    Dimension,
    LimitClass,
    NoSuchRoute,
    Priority,
    PublicRoute,
    RoleForbidden,
    Service,
    is_canonical,
)
from gateway.forwarding import Forwarder, Onward, TokenRefused
from gateway.reality import PLAYING_SINCE
from gateway.sessions import InternalToken, TokenExchange, session_secret
from gateway.shedding import Shedder

RateLimits = Mapping[LimitClass, Mapping[Dimension, RateLimit]]


class Door:
    """Checks address, load, session, role, rate, size and signature, in the order of what they cost; then passes on.

    A place among those that are worked on is held before the body and after it, and not while it is on its way.
    """

    def __init__(
        self,
        exchange: TokenExchange,
        devices: Devices,
        limiter: RateLimiter,
        limits: RateLimits,
        shedder: Shedder,
        forwarder: Forwarder,
        bodies: Bodies,
        *,
        trusted_proxies: Sequence[Network],
    ) -> None:
        self._exchange = exchange
        self._devices = devices
        self._limiter = limiter
        self._limits = limits
        self._shedder = shedder
        self._forwarder = forwarder
        self._bodies = bodies
        self._trusted_proxies = trusted_proxies

    async def enter(self, request: web.Request, route: PublicRoute) -> web.StreamResponse:
        """The service's answer to a request that may pass. Raises a refusal otherwise."""
        if not is_canonical(request.rel_url.raw_path, request.rel_url.raw_query_string):
            raise NoSuchRoute("no public route has this path")
        address = client_address(request, self._trusted_proxies)
        if route.access is not Access.PUBLIC:
            return await self._enter_with_session(request, route, address)
        with self._shedder.place(route.priority):
            await self._admit(request, route.limit, {Dimension.ADDRESS: counted_as(address)})
        body = await self._body(request, route, address)
        with self._shedder.place(route.priority):
            return await self._forwarder.forward(request, route, Onward(body, address))

    async def _enter_with_session(
        self, request: web.Request, route: PublicRoute, address: str
    ) -> web.StreamResponse:
        secret = session_secret(request)
        with self._shedder.place(route.priority):
            token, device = await self._known(request, route, secret, address)
        is_waited_for = not request.content.is_eof()
        body = await self._body(request, route, address)
        with self._shedder.place(route.priority):
            if is_waited_for:  # the session may have ended meanwhile
                token = await self._exchange.token_for(secret, route.service)
            if device is not None:
                await self._devices.verify(request, secret, device, body)
            try:
                onward = Onward(body, address, token.token, device)
                return await self._forwarder.forward(request, route, onward)
            except TokenRefused:
                self._exchange.forget(secret)
                raise
            finally:
                if route.ends_session:
                    self._exchange.forget(secret)

    async def _known(
        self, request: web.Request, route: PublicRoute, secret: str, address: str
    ) -> tuple[InternalToken, str | None]:
        """Who asks, whom the route admits and has not asked too often; and the device that is said to have signed."""
        token, keys = await self._token_for(request, secret, route.service, route.limit, address)
        request[PRINCIPAL] = Principal(token.subject, token.role)
        if token.role is Role.BETTOR:
            request[PLAYING_SINCE] = token.started_at
        if not route.admits(token.role):
            raise RoleForbidden("your role may not do this")
        device = claimed_key_id(request) if route.signed else None
        if device is not None:
            keys[Dimension.DEVICE] = (
                f"{token.subject}:{device}"  # claimed only, so counted with whose it would be
            )
        await self._admit(request, route.limit, keys)
        return token, device

    async def greet(self, request: web.Request) -> InternalToken:
        """Let somebody in who comes to stay and listen: counted like a request, and holding a place only until it is known
        who it is. Raises a refusal otherwise."""
        address = client_address(request, self._trusted_proxies)
        with self._shedder.place(Priority.BROWSE):
            token, keys = await self._token_for(
                request, session_secret(request), Service.BETTING, LimitClass.OTHER, address
            )
            await self._admit(request, LimitClass.OTHER, keys)
        return token

    async def hear(self, subject: str) -> None:
        """Let one who stays ask for something: counted like a request. Raises RateLimited, LimiterUnavailable."""
        limits = self._limits[LimitClass.OTHER]
        await self._limiter.admit(Charge(limits[Dimension.ACCOUNT], subject))

    async def _token_for(
        self, request: web.Request, secret: str, service: Service, limit: LimitClass, address: str
    ) -> tuple[InternalToken, dict[Dimension, str]]:
        """The session's token, and what is left to count the request by.

        Where identity has to be asked the address is counted before: who makes sessions up gets no further.
        """
        keys = {Dimension.ADDRESS: counted_as(address)}
        if not self._exchange.keeps(secret, service):
            await self._admit(request, limit, keys)
            keys = {}
        token = await self._exchange.token_for(secret, service)
        return token, {Dimension.ACCOUNT: token.subject, **keys}

    async def _admit(self, request: web.Request, limit: LimitClass, keys: Mapping[Dimension, str]) -> None:
        limits = self._limits[limit]
        charges = [Charge(limits[each], key) for each, key in keys.items() if each in limits]
        if charges:
            await self._limiter.admit_request(request, *charges)

    async def _body(self, request: web.Request, route: PublicRoute, address: str) -> bytes:
        return await self._bodies.whole(request, max_bytes=route.max_body_bytes, sender=counted_as(address))
