"""The control socket: one order a line in JSON, one answer a line."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tools.stack.layout import Layout
from tools.stack.supervisor import Supervisor

ACTS = ("kill", "wait", "stop", "start", "restart")
"""Orders about one process."""


@dataclass(frozen=True, slots=True)
class Control:
    """Carries out what comes over the socket. `leave` is set when somebody wants the stack down."""

    supervisor: Supervisor
    leave: asyncio.Event

    async def obey(self, order: Mapping[str, str]) -> dict[str, object]:
        """The answer. Raises `KeyError`, `ValueError`, `ProcessLookupError`, `RuntimeError` for what cannot be."""
        match order["act"]:
            case "status":
                return {"up": self.supervisor.is_up, "processes": self.supervisor.status()}
            case "kill":
                self.supervisor.kill(order["process"], _signal(order["signal"]))
            case "wait":
                await self.supervisor.wait_ready(order["process"])
            case "stop":
                await self.supervisor.stop(order["process"])
            case "start":
                await self.supervisor.start(order["process"])
            case "restart":
                await self.supervisor.restart(order["process"])
            case "down":
                self.leave.set()
            case unknown:
                raise ValueError(f"no such order: {unknown}")
        return {"done": order["act"]}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one caller."""
        try:
            answer = await self.obey(json.loads(await reader.readline()))
        except KeyError as unknown:
            answer = {"error": f"unknown: {unknown}"}
        except (ValueError, ProcessLookupError, RuntimeError) as refused:
            answer = {"error": str(refused)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()


def _signal(name: str) -> signal.Signals:
    try:
        return signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"]
    except KeyError:
        raise ValueError(f"no such signal: {name}") from None


@asynccontextmanager
async def listening(layout: Layout, control: Control) -> AsyncIterator[None]:
    """Take orders, from the stack's owner alone."""
    layout.control.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(control.serve, layout.control)
    layout.control.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        layout.control.unlink(missing_ok=True)


async def ask(layout: Layout, order: Mapping[str, str]) -> dict[str, object]:
    """Send an order to a stack's supervisor. Raises `OSError` when there is none."""
    described = json.loads(layout.description.read_text(encoding="utf-8"))
    reader, writer = await asyncio.open_unix_connection(described["control"])
    try:
        writer.write(json.dumps(order).encode() + b"\n")
        answer = await reader.readline()
        if not answer:
            raise ConnectionError("the supervisor went away")
        told: dict[str, object] = json.loads(answer)
        return told
    finally:
        writer.close()
