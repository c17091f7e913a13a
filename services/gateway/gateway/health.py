"""Deep health: the readiness of everything behind the door, asked at once and shown as one."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Literal

import aiohttp
from common.wire import View
from pydantic import BaseModel, ValidationError

PROBE_TIMEOUT_SECONDS = 3.0
# Anyone may ask and every question goes to every process, so questions within this time share an answer.
KEEP_SECONDS = 1.0


class Readiness(BaseModel):
    """What a service's `/readyz` says, as far as it is shown: each dependency, `ok` or what is wrong."""

    checks: dict[str, str] = {}


class ServiceHealth(View):
    """`down`: not reachable. `not ready`: it says itself that something it needs does not answer."""

    status: Literal["ready", "not ready", "down"]
    checks: dict[str, str]


class HealthView(View):
    """`ok` only when every process is ready."""

    status: Literal["ok", "degraded"]
    services: dict[str, ServiceHealth]


class DeepHealth:
    """Asks every process."""

    def __init__(self, client: aiohttp.ClientSession, processes: Mapping[str, str]) -> None:
        """`processes` are base URLs by name. Names are shown, addresses are not."""
        self._client = client
        self._processes = dict(sorted(processes.items()))
        self._lock = asyncio.Lock()
        self._latest: HealthView | None = None
        self._asked_at = 0.0

    async def view(self) -> HealthView:
        """The health of everything, at most a second old."""
        async with self._lock:
            if self._latest is None or monotonic() - self._asked_at > KEEP_SECONDS:
                self._latest = await self._ask_all()
                self._asked_at = monotonic()
            return self._latest

    async def _ask_all(self) -> HealthView:
        found = await asyncio.gather(*(self._ask(url) for url in self._processes.values()))
        services = dict(zip(self._processes, found, strict=True))
        all_ready = all(service.status == "ready" for service in found)
        return HealthView(status="ok" if all_ready else "degraded", services=services)

    async def _ask(self, base_url: str) -> ServiceHealth:
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS)
        try:
            async with self._client.get(f"{base_url.rstrip('/')}/readyz", timeout=timeout) as answer:
                told = Readiness.model_validate_json(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValidationError):
            return ServiceHealth(status="down", checks={})
        return ServiceHealth(status="ready" if answer.ok else "not ready", checks=told.checks)
