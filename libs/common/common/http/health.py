"""Health: alive is not ready. Ready means that everything this process needs answers."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest

PROBE_TIMEOUT_SECONDS: Final = 2.0

ANSWERS: Final = Gauge(
    "readiness_check", "1 while this that the process needs answers, as asked just now.", ("check",)
)
CLOCK: Final = Gauge("clock_seconds", "What time this process takes it to be, in seconds since 1970.")
CLOCK.set_function(time.time)


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
        self._asked: dict[str, asyncio.Task[str | None]] = {}

    async def failures(self, app: web.Application) -> dict[str, str]:
        """What fails, by name, and how: the kind of error or `timeout`. All checks run at once."""
        found = await asyncio.gather(*(self._failure(check, app) for check in self._checks))
        failures = {
            check.name: failure for check, failure in zip(self._checks, found, strict=True) if failure
        }
        for check in self._checks:
            ANSWERS.labels(check.name).set(check.name not in failures)
        return {**failures, "draining": "shutting down"} if self.draining else failures

    async def _failure(self, check: Check, app: web.Application) -> str | None:
        """None, or how it failed. Nobody waits for a question to be given up: to tell a frozen server that its answer is
        not wanted any more takes as long as waiting for it. Nor is one that still owes an answer asked again."""
        asked = self._asked.get(check.name)
        if asked is None or asked.done():
            asked = self._asked[check.name] = asyncio.create_task(
                _asked(check, app), name=f"ask {check.name}"
            )
        await asyncio.wait((asked,), timeout=PROBE_TIMEOUT_SECONDS)
        return asked.result() if asked.done() else "timeout"

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

    async def metrics(self, request: web.Request) -> web.Response:
        """Everything this process counts; what it needs is asked first, for a gauge nobody refreshes would lie."""
        await self.failures(request.app)
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _asked(check: Check, app: web.Application) -> str | None:
    try:
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
