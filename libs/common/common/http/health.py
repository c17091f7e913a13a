"""Health: alive is not ready. Ready means that everything this process needs answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

PROBE_TIMEOUT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """Something this process needs. `probe` raises when it does not answer; what it raised is told
    by kind only, since its words may hold an address or a password."""

    name: str
    probe: Callable[[web.Application], Awaitable[object]]


Told = Mapping[str, Callable[[web.Application], Mapping[str, object]]]
"""What else `/readyz` says, by name: figures for people and for the gateway's deep health, without a verdict."""


class Readiness:
    """Whether this process wants requests: its checks answer and it is not on its way out."""

    def __init__(self, checks: Sequence[Check], told: Told | None = None) -> None:
        self._checks = tuple(checks)
        self._told = dict(told or {})
        self.draining = False

    async def failures(self, app: web.Application) -> dict[str, str]:
        """What fails, by name, and how: the kind of error or `timeout`. All checks run at once."""
        found = await asyncio.gather(*(_failure(check, app) for check in self._checks))
        failures = {
            check.name: failure for check, failure in zip(self._checks, found, strict=True) if failure
        }
        return {**failures, "draining": "shutting down"} if self.draining else failures

    async def healthz(self, _: web.Request) -> web.Response:
        """The process runs its loop."""
        return _respond(200, {"status": "alive"})

    async def readyz(self, request: web.Request) -> web.Response:
        """200, or 503 with what failed."""
        failures = await self.failures(request.app)
        checks = {check.name: failures.get(check.name, "ok") for check in self._checks} | failures
        told = {name: dict(tell(request.app)) for name, tell in self._told.items()}
        if failures:
            return _respond(
                503, {"status": "not ready", "failed": sorted(failures), "checks": checks, **told}
            )
        return _respond(200, {"status": "ready", "checks": checks, **told})


async def _failure(check: Check, app: web.Application) -> str | None:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
            await check.probe(app)
    except TimeoutError:
        return "timeout"
    except Exception as error:  # noqa: BLE001 - a probe may fail in any way; that it failed is the answer
        return type(error).__name__
    return None


def _respond(status: int, body: dict[str, object]) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(
        body=json.dumps(body).encode(), status=status, headers=headers, content_type="application/json"
    )
