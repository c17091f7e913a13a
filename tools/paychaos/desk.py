"""Who asks: players and cashiers with tokens of identity's, straight at payments; and the providers' strings."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import aiohttp

from tools.raceday.client import App, Tally
from tools.raceday.people import Person
from tools.stack.described import Stack

Json = dict[str, Any]

PATIENCE_SECONDS = 120.0
TOKEN_SECONDS = 40.0
LOST = (aiohttp.ClientError, TimeoutError, ValueError, ConnectionError)


class Refused(Exception):
    """A definitive no."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(f"{status} {problem}")
        self.slug = str(problem.get("type", "")).rsplit("/", 1)[-1]


@dataclass
class Caller:
    """Somebody with a session, asking payments until there is a definitive answer."""

    stack: Stack
    http: aiohttp.ClientSession
    who: Person
    id: str = ""
    _session: str = ""
    _token: str = ""
    _until: float = 0.0
    _renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def enter(self, *, register: bool) -> None:
        """Register, unless that is done, and log in."""
        app = App(self.http, self.stack["urls"]["gateway"], Tally())
        if register:
            papers = {
                "curp": self.who.curp,
                "full_name": self.who.full_name,
                "email": self.who.email,
                "password": self.who.password,
            }
            self.id = str((await app.post("/v1/register", papers, f"register:{self.who.email}"))["id"])
        await app.login(self.who)
        self._session = app.session

    async def get(self, path: str) -> Json:
        return await self._ask("GET", path, None, None)

    async def post(self, path: str, body: Json | None, key: str) -> Json:
        return await self._ask("POST", path, body, str(uuid5(NAMESPACE_URL, key)))

    async def _ask(self, method: str, path: str, body: Json | None, key: str | None) -> Json:
        """Ask again, with the same key, until there is a definitive answer. Raises `Refused`, TimeoutError."""
        patience = time.monotonic() + PATIENCE_SECONDS
        url = self.stack["urls"]["payments"] + path
        trouble = ""
        while time.monotonic() < patience:
            headers = {"Authorization": f"Bearer {await self._fresh_token()}"}
            if key:
                headers["Idempotency-Key"] = key
            try:
                async with self.http.request(method, url, json=body, headers=headers) as answer:
                    told: Json = await answer.json(content_type=None)
                    if answer.status < 400:
                        return told
                    if answer.status < 500 and "Retry-After" not in answer.headers and answer.status != 401:
                        raise Refused(answer.status, told)
                    trouble = f"{answer.status} {told}"
            except LOST as gone:
                trouble = repr(gone)
            await asyncio.sleep(0.15)
        raise TimeoutError(f"{method} {path}: {trouble}")

    async def _fresh_token(self) -> str:
        async with self._renewing:
            while time.monotonic() > self._until:
                url = f"{self.stack['urls']['identity']}/internal/token"
                body = {"session": self._session, "audience": "payments"}
                try:
                    async with self.http.post(url, json=body) as answer:
                        told = await answer.json(content_type=None)
                        if answer.status == 200:
                            self._token = told["token"]
                            self._until = time.monotonic() + TOKEN_SECONDS
                            break
                except LOST:
                    pass
                await asyncio.sleep(0.2)
            return self._token


@dataclass
class Provider:
    """The strings by which the rail, the central bank and the card provider are pulled."""

    stack: Stack
    http: aiohttp.ClientSession

    async def rail(self, method: str, path: str, body: Json | None = None) -> Json:
        return await self._ask("rail", method, path, body)

    async def central_bank(self, method: str, path: str, body: Json | None = None) -> Json:
        return await self._ask("central-bank", method, path, body)

    async def psp(self, method: str, path: str, body: Json | None = None) -> Json:
        return await self._ask("psp", method, path, body)

    async def _ask(self, server: str, method: str, path: str, body: Json | None) -> Json:
        async with self.http.request(method, self.stack["urls"][server] + path, json=body) as answer:
            told: Json = await answer.json(content_type=None)
            if answer.status >= 400:
                raise RuntimeError(f"{server} {path}: {answer.status} {told}")
            return told

    async def all_faults(self, seed: int) -> None:
        """Every fault of every provider on."""
        await self.psp(
            "PUT", "/control/faults", {"seed": seed, "every": True, "hold_seconds": 1.5, "lag_seconds": 0.4}
        )
        for ask in (self.rail, self.central_bank):
            await ask("PUT", "/behaviour", {"chaos_seed": seed, "chaos_rate": 0.15, "hold_seconds": 1.5})

    async def no_transport_faults(self) -> None:
        """The rail and the central bank answer honestly from now on."""
        for ask in (self.rail, self.central_bank):
            await ask("PUT", "/behaviour", {})
