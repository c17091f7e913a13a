"""Deep health: the readiness of everything behind the door, asked at once and shown as one."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Final, Literal

import aiohttp
from common.wire import View
from pydantic import BaseModel, ValidationError

PROBE_TIMEOUT_SECONDS = 3.0
# Anyone may ask and every question goes to every process, so questions within this time share an answer.
KEEP_SECONDS = 1.0


STALE_OUTBOX_SECONDS = 30.0
"""Events that wait for longer than this are a disturbance that people notice."""

DOES: Final[Mapping[str, tuple[str, ...]]] = {
    "log in": ("identity",),
    "place offers": ("identity", "betting", "ledger", "relay-betting", "relay-ledger"),
    "deposit and withdraw": (
        "identity", "payments", "ledger", "ledger-receipts", "attestor", "relay-payments", "relay-ledger",
    ),
    "see your money": ("identity", "ledger"),
}  # fmt: skip
"""What people do, and the processes it takes, of those that are watched."""


class Outbox(View):
    """How much waits to be told, and for how long."""

    rows: int
    oldest_seconds: float


class Readiness(BaseModel):
    """What a service's `/readyz` says, as far as it is shown: each dependency, `ok` or what is wrong."""

    checks: dict[str, str] = {}
    outbox: Outbox | None = None


class ServiceHealth(View):
    """`down`: not reachable. `not ready`: it says itself that something it needs does not answer."""

    status: Literal["ready", "not ready", "down"]
    checks: dict[str, str]
    outbox: Outbox | None = None

    @property
    def works(self) -> bool:
        """Ready, and not far behind in telling the others."""
        late = self.outbox is not None and self.outbox.oldest_seconds > STALE_OUTBOX_SECONDS
        return self.status == "ready" and not late


class HealthView(View):
    """`ok` only when every process is ready."""

    status: Literal["ok", "degraded"]
    services: dict[str, ServiceHealth]


class StatusView(View):
    """`ok` when everything works. `works` names what people do; `false` is what does not work now."""

    status: Literal["ok", "disturbed"]
    works: dict[str, bool]


def status_of(health: HealthView) -> StatusView:
    """What the health of the processes means to people."""
    working = {name for name, service in health.services.items() if service.works}
    works = {
        what: all(name in working for name in takes if name in health.services)
        for what, takes in DOES.items()
    }
    return StatusView(status="ok" if all(works.values()) else "disturbed", works=works)


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
        all_ready = all(service.works for service in found)
        return HealthView(status="ok" if all_ready else "degraded", services=services)

    async def _ask(self, base_url: str) -> ServiceHealth:
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_SECONDS)
        try:
            async with self._client.get(f"{base_url.rstrip('/')}/readyz", timeout=timeout) as answer:
                told = Readiness.model_validate_json(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValidationError):
            return ServiceHealth(status="down", checks={})
        status: Literal["ready", "not ready"] = "ready" if answer.ok else "not ready"
        return ServiceHealth(status=status, checks=told.checks, outbox=told.outbox)
