"""The supervisor: brings a stack up in order, keeps it up, takes orders over a socket, takes it down."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Callable

from tools.stack import postgres, rabbitmq, redis, services
from tools.stack.layout import Layout
from tools.stack.process import Process, Spec
from tools.stack.secrets import make_keys

INFRASTRUCTURE_SECONDS = 60.0
SERVICE_SECONDS = 45.0

Say = Callable[[str], None]


class Supervisor:
    """One stack. `infra_only` leaves El Carril's own processes out."""

    def __init__(
        self, layout: Layout, say: Say, *, infra_only: bool = False, throw_away: bool = False
    ) -> None:
        self._layout = layout
        self._say = say
        self._infra_only = infra_only
        self._throw_away = throw_away
        self._processes: dict[str, Process] = {}
        self._control: asyncio.Server | None = None

    async def up(self) -> None:
        """Start everything and wait until it is ready.

        Raises:
            RuntimeError: something did not become ready; what its log says last.
        """
        self._layout.make()
        make_keys(self._layout)
        postgres.initialise(self._layout)
        rabbitmq.initialise(self._layout)
        await self._start_all(
            [
                postgres.spec(self._layout),
                redis.spec(self._layout),
                rabbitmq.epmd(self._layout),
                rabbitmq.spec(self._layout),
            ],
            INFRASTRUCTURE_SECONDS,
        )
        await rabbitmq.declare(self._layout)
        self._describe()
        await self._listen()
        if not self._infra_only:
            await services.make_ledger_keys(self._layout)
            await self._start_all(services.specs(self._layout), SERVICE_SECONDS)
        self._say("ready")

    async def _prepare_databases(self) -> None:
        await postgres.provision(self._layout)
        await postgres.migrate(self._layout)
        if self._throw_away:
            await postgres.keep_pristine(self._layout)

    async def _start_all(self, specs: list[Spec], timeout_seconds: float) -> None:
        """Each as soon as what it waits for is ready; those that wait for nothing at once."""
        ready = {spec.name: asyncio.Event() for spec in specs}

        async def bring_up(spec: Spec) -> None:
            for name in spec.after:
                if name in ready:
                    await ready[name].wait()
            await self._start(spec, timeout_seconds)
            if spec.name == "postgres":  # while the broker, the slowest of all, still starts
                await self._prepare_databases()
            ready[spec.name].set()

        async with asyncio.TaskGroup() as group:
            for spec in specs:
                group.create_task(bring_up(spec))

    async def _start(self, spec: Spec, timeout_seconds: float) -> None:
        process = Process(spec, self._layout.logs / f"{spec.name}.log")
        self._processes[spec.name] = process
        process.start()
        await process.wait_ready(timeout_seconds)

    def _describe(self) -> None:
        """Write what tests and tools need to know."""
        layout = self._layout
        description = {
            "name": layout.name,
            "base": layout.base,
            "postgres": {
                "host": "127.0.0.1",
                "port": layout.port("postgres"),
                "superuser_dsn": postgres.superuser_dsn(layout),
            },
            "dsn": postgres.dsns(layout),
            "rabbitmq": {
                "host": "127.0.0.1",
                "port": layout.port("rabbitmq"),
                "management": layout.port("rabbitmq-management"),
                "vhost": rabbitmq.VHOST,
                "users": rabbitmq.passwords(layout),
            },
            "redis_url": redis.url(layout),
            "urls": {
                spec.name: layout.url(spec.name)
                for spec in (*services.specs(layout), services.second_ledger(layout))
            },
            "secrets_dir": str(layout.secrets),
            "log_dir": str(layout.logs),
            "control": str(layout.control),
        }
        layout.description.touch(mode=0o600)
        layout.description.write_text(json.dumps(description, indent=1), encoding="utf-8")

    async def _listen(self) -> None:
        self._layout.control.unlink(missing_ok=True)
        self._control = await asyncio.start_unix_server(self._serve, self._layout.control)
        self._layout.control.chmod(0o600)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            order = json.loads(await reader.readline())
            answer = await self._obey(order)
        except (KeyError, ValueError, RuntimeError, ProcessLookupError) as refused:
            answer = {"error": repr(refused)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _obey(self, order: dict[str, str]) -> dict[str, object]:
        match order["act"]:
            case "status":
                return {name: {"pid": p.pid, "starts": p.starts} for name, p in self._processes.items()}
            case "kill":
                self._processes[order["process"]].kill(signal.Signals[f"SIG{order['signal']}"])
            case "wait":
                await self._processes[order["process"]].wait_ready(SERVICE_SECONDS)
            case "stop":
                await self._processes.pop(order["process"]).stop()
            case "start":
                await self._start(self._startable(order["process"]), SERVICE_SECONDS)
            case unknown:
                raise ValueError(unknown)
        return {"done": order["act"]}

    def _startable(self, name: str) -> Spec:
        known = (*services.specs(self._layout), services.second_ledger(self._layout))
        return next(spec for spec in known if spec.name == name and name not in self._processes)

    async def down(self) -> None:
        """Stop everything, last started first; a throw-away stack leaves nothing behind."""
        if self._control is not None:
            self._control.close()
            self._layout.control.unlink(missing_ok=True)
        for process in reversed(self._processes.values()):
            await process.stop(hurry=self._throw_away)
        if self._throw_away:
            postgres.remove(self._layout)
            shutil.rmtree(self._layout.home, ignore_errors=True)
        self._say("stopped")
