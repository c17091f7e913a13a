"""The supervisor: brings a stack up in order, keeps it up, takes it down in reverse."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.stack.order import Errand, Step, unknown_needs
from tools.stack.process import Process, Say, Spec


class Supervisor:
    """One stack: the steps it consists of, each started when what it waits for is up.

    `extras` are processes that are started by order only. `say` hears what happens to processes while they run.
    """

    def __init__(self, steps: Sequence[Step], logs: Path, say: Say, *, extras: Sequence[Spec] = ()) -> None:
        if unknown := unknown_needs([*steps, *extras]):
            raise ValueError(f"nobody brings {', '.join(sorted(unknown))}")
        self._steps = steps
        self._extras = extras
        self._logs = logs
        self._say = say
        self._processes: dict[str, Process] = {}
        self.is_up = False

    async def up(self) -> None:
        """Start everything and wait until it is ready.

        Raises `RuntimeError`: something did not become ready, and what its log says last.
        """
        up = {step.name: asyncio.Event() for step in self._steps}
        try:
            async with asyncio.TaskGroup() as group:
                for step in self._steps:
                    group.create_task(self._bring_up(step, up))
        except ExceptionGroup as failed:
            # No `except*`: what is raised in one comes as a group again before Python 3.11.4.
            expected, others = failed.split(RuntimeError)
            if expected is None or others is not None:
                raise
            raise RuntimeError("\n".join(str(each) for each in expected.exceptions)) from None
        self.is_up = True

    async def _bring_up(self, step: Step, up: Mapping[str, asyncio.Event]) -> None:
        for name in step.after:
            await up[name].wait()
        if isinstance(step, Errand):
            await step.run()
        else:
            await self._start(step)
        up[step.name].set()

    async def _start(self, spec: Spec) -> None:
        process = Process(spec, self._logs / f"{spec.name}.log", self._say)
        self._processes[spec.name] = process
        process.start()
        await process.wait_ready()

    async def down(self, *, hurry: bool = False) -> None:
        """Stop everything, each after all that wait for it; in a hurry by killing it, which loses nothing
        that anybody wants of a throw-away stack."""
        ended = {name: asyncio.Event() for name in self._processes}
        async with asyncio.TaskGroup() as group:
            for name, process in self._processes.items():
                dependents = [ended[other] for other in self._dependents(name)]
                group.create_task(_take_down(process, dependents, ended[name], hurry=hurry))
        self._processes.clear()

    def _dependents(self, name: str) -> list[str]:
        """Running processes that wait for this one, directly or through errands."""
        afters = {step.name: step.after for step in (*self._steps, *self._extras)}

        def needs(other: str) -> bool:
            return any(each == name or needs(each) for each in afters.get(other, ()))

        return [other for other in self._processes if needs(other)]

    def status(self) -> dict[str, dict[str, int | None]]:
        """Each process's pid (None while it does not run) and how often it was started."""
        return {name: {"pid": each.pid, "starts": each.starts} for name, each in self._processes.items()}

    def kill(self, name: str, number: signal.Signals) -> None:
        """Send a signal; what ends by it is started again. Raises `KeyError` or `ProcessLookupError`."""
        self._processes[name].kill(number)

    async def wait_ready(self, name: str) -> None:
        """Raises `KeyError` or `RuntimeError`."""
        await self._processes[name].wait_ready()

    async def stop(self, name: str) -> None:
        """End a process and let it be. Raises `KeyError`."""
        await self._processes[name].stop()
        del self._processes[name]

    async def start(self, name: str) -> None:
        """Start a process that is stopped, or an extra one. Raises `KeyError` or `RuntimeError`."""
        if name in self._processes:
            raise RuntimeError(f"{name} is already started")
        specs = (step for step in (*self._steps, *self._extras) if isinstance(step, Spec))
        await self._start({spec.name: spec for spec in specs}[name])

    async def restart(self, name: str) -> None:
        """End a process kindly and start it again. Raises `KeyError` or `RuntimeError`."""
        await self.stop(name)
        await self.start(name)


async def _take_down(
    process: Process, dependents: list[asyncio.Event], ended: asyncio.Event, *, hurry: bool
) -> None:
    for dependent in dependents:
        await dependent.wait()
    await process.stop(hurry=hurry)
    ended.set()
