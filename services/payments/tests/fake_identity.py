"""Identity, as far as payments asks it: who a player is, when their password was changed, what they allow themselves, and
which cashiers work here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web
from aiohttp.test_utils import TestServer


@dataclass
class FakeIdentity:
    """Whom it knows; open to the tests."""

    password_changed_at: dict[str, datetime] = field(default_factory=dict)
    blocked_until: dict[str, datetime] = field(default_factory=dict)
    deposit_limits: dict[str, dict[str, str]] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    """By what name it knows somebody; None: it knows nobody by that id any more. Others are Ana López."""
    proofs: dict[str, int] = field(default_factory=dict)
    """What a cashier's sessions stand on; others' on 1."""
    roles: dict[str, str | None] = field(default_factory=dict)
    """What an employee is now; None: dismissed. Others are cashiers."""
    asked: int = 0
    silent: bool = False
    fails_for: set[str] = field(default_factory=set)
    url: str = ""

    async def holder(self, request: web.Request) -> web.Response:
        if self.silent:
            return web.json_response(
                {"type": "/problems/unavailable", "title": "x", "status": 503}, status=503
            )
        player = request.match_info["id"]
        self.asked += 1
        if player in self.fails_for:
            return web.json_response({"type": "/problems/internal", "title": "x", "status": 500}, status=500)
        name = self.names.get(player, "Ana López")
        if name is None:
            return web.json_response(
                {"type": "/problems/session-ended", "title": "x", "status": 401}, status=401
            )
        changed_at, blocked = self.password_changed_at.get(player), self.blocked_until.get(player)
        told = {
            "full_name": name,
            "password_changed_at": changed_at and changed_at.isoformat(),
            "blocked_until": blocked and blocked.isoformat(),
            "deposit_limits": self.deposit_limits.get(player, {}),
        }
        return web.json_response(told)

    async def standing(self, request: web.Request) -> web.Response:
        if self.silent:
            return web.json_response(
                {"type": "/problems/unavailable", "title": "x", "status": 503}, status=503
            )
        person = request.match_info["id"]
        role = self.roles.get(person, "cashier")
        if role is None:
            return web.json_response(
                {"type": "/problems/no-such-staff", "title": "x", "status": 404}, status=404
            )
        return web.json_response({"role": role, "proof": self.proofs.get(person, 1)})


@asynccontextmanager
async def identity() -> AsyncIterator[FakeIdentity]:
    fake, app = FakeIdentity(), web.Application()
    app.router.add_get("/internal/holders/{id}", fake.holder)
    app.router.add_get("/internal/staff/{id}", fake.standing)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("")).rstrip("/")
        yield fake
