"""One supervised process: started, watched, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tools.stack.layout import ROOT

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0
STEADY_SECONDS = 10.0
"""A process that lived this long starts its back-off anew."""

STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Spec:
    """How a process is started, what it waits for, and when it counts as ready."""

    name: str
    command: list[str]
    environment: dict[str, str]
    ready: Callable[[], Awaitable[bool]]
    after: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    directory: Path = ROOT
    own_group: bool = False
    """It starts children of its own that a kill must reach too."""
    slow_to_stop: bool = False


@dataclass(slots=True)
class Process:
    """A spec running. `starts` counts how often it was started."""

    spec: Spec
    log: Path
    starts: int = 0
    _child: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None
    _stopping: bool = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.returncode is None else None

    def start(self) -> None:
        self._stopping = False
        self._watch = asyncio.create_task(self._keep_running(), name=self.spec.name)

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Raises RuntimeError with the end of its log when it does not become ready in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not (self.pid and await self.spec.ready()):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RuntimeError(
                f"{self.spec.name} is not ready after {timeout_seconds:.0f} s:\n{tail}"
            ) from None

    async def _keep_running(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            with self.log.open("ab") as log:
                self._child = await asyncio.create_subprocess_exec(
                    *self.spec.command,
                    env={**os.environ, **self.spec.environment}, cwd=self.spec.directory,
                    stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            self.starts += 1
            await self._child.wait()
            if self.spec.own_group:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGKILL)
            if not self._stopping:
                backoff = FIRST_BACKOFF_SECONDS if loop.time() - began > STEADY_SECONDS else backoff
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal. Raises ProcessLookupError when it is not running."""
        if self.pid is None:
            raise ProcessLookupError(self.spec.name)
        if self.spec.own_group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    async def stop(self, *, hurry: bool = False) -> None:
        """End it, kindly first; in a hurry what is slow to say good-bye is killed."""
        self._stopping = True
        if self.pid is not None:
            self.kill(signal.SIGKILL if hurry and self.spec.slow_to_stop else self.spec.stop_signal)
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._ended()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self.kill(signal.SIGKILL)
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _ended(self) -> None:
        if self._child:
            await self._child.wait()
