"""A small real server that plays every service behind the gateway but identity.

It has every routed path, verifies the tokens it gets as the services do, tells what it was sent, and can be
made slow, broken or talkative.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web
from common.auth import TokenVerifier, by_token
from common.errors import NotFound, Unauthenticated
from common.http import PRINCIPAL, Route, View, build_app, reply
from common.settings import ServiceSettings
from gateway.domain import PublicRoute, Service
from gateway.routes import ROUTES


class Seen(View):
    """What the upstream was sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    subject: str
    role: str


@dataclass
class Upstream:
    """The behaviour of one service, and what it has seen."""

    service: Service
    requests: Counter[str] = field(default_factory=Counter)
    delay_seconds: float = 0.0
    drop: bool = False
    refuse_token: bool = False
    missing: bool = False
    drop_after_bytes: int | None = None
    long_answer_bytes: int = 0

    def app(self, identity_url: str) -> web.Application:
        rows = [row for row in ROUTES if row.service is self.service]
        verifier = TokenVerifier(identity_url, audience=self.service)
        settings = ServiceSettings.model_validate({"service": str(self.service), "port": 1})
        return build_app(
            settings,
            [self._route(row) for row in rows],
            title=f"Upstream {self.service}",
            authenticate={"token": by_token(verifier)},
        )

    def _route(self, row: PublicRoute) -> Route:
        async def behave(request: web.Request) -> web.StreamResponse:
            """Tell what came."""
            self.requests[f"{request.method} {request.path}"] += 1
            await asyncio.sleep(self.delay_seconds)
            if self.refuse_token:
                raise Unauthenticated("the token is not accepted")
            if self.missing:
                raise NotFound("there is none")
            if self.drop:
                return _dropped(request)
            if self.drop_after_bytes is not None:
                return await _cut_short(request, self.drop_after_bytes)
            if self.long_answer_bytes:
                return web.Response(body=bytes(self.long_answer_bytes))
            return await _told(request)

        behave.__name__ = f"upstream_{row.name}"
        return Route(row.method, row.path, behave, returns=Seen)


async def _told(request: web.Request) -> web.Response:
    principal = request[PRINCIPAL]
    seen = Seen(
        method=request.method,
        path=request.raw_path,
        headers={name.lower(): value for name, value in request.headers.items()},
        body=(await request.read()).decode(),
        subject=principal.subject,
        role=principal.role,
    )
    headers = {
        "Idempotent-Replayed": "true",
        "Set-Cookie": "internal=1",
        "X-Internal": "secret",
        "Server": "inner/1",
    }
    return reply(seen, headers=headers)


def _dropped(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut_short(request: web.Request, length: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(length * 2)})
    await response.prepare(request)
    await response.write(b"x" * length)
    await asyncio.sleep(0.05)
    return _dropped(request)
