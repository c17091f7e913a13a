"""One supervised process: started, watched, restarted with back-off, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.stack.layout import ROOT

FIRST_BACKOFF_SECONDS: Final = 0.2
LONGEST_BACKOFF_SECONDS: Final = 5.0
STEADY_SECONDS: Final = 10.0
"""A process that lived this long starts its back-off anew."""
STOP_SECONDS: Final = 20.0
HOPELESS_STARTS: Final = 4
"""A process that ended this often without being ready once will not be."""
LONGEST_LOG_BYTES: Final = 20_000_000
TAIL_BYTES: Final = 3_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spec:
    """How a process is started, what it needs to be up before, and when it counts as ready."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[bool]]
    after: tuple[str, ...] = ()
    ready_seconds: float = 90.0
    stop_signal: signal.Signals = signal.SIGTERM
    """What asks it to end by itself."""
    directory: Path = ROOT
    own_group: bool = False
    """It starts children of its own that a signal must reach too."""
    niceness: int = 0
    """0 to 19: how far the whole process gives way to the others on this machine's processors."""


@dataclass(slots=True)
class Process:
    """A spec running. `starts` counts how often it was started."""

    spec: Spec
    log: Path
    say: Say
    starts: int = 0
    _was_ready: bool = False
    _child: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._child.pid if self._child and self._child.returncode is None else None

    def start(self) -> None:
        """Start it and keep it running until `stop`."""
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        self._watch = asyncio.create_task(self._keep_running(), name=self.spec.name)

    async def wait_ready(self) -> None:
        """Raises `RuntimeError` with the end of its log when it does not become ready in time."""
        try:
            async with asyncio.timeout(self.spec.ready_seconds):
                while not (self.pid and await self.spec.ready()):
                    if self.starts > HOPELESS_STARTS and not self._was_ready:
                        raise TimeoutError
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RuntimeError(
                f"{self.spec.name} is not ready (started {self.starts} times); its log ends:\n{self._tail()}"
            ) from None
        self._was_ready = True

    def _tail(self) -> str:
        return self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")

    async def _keep_running(self) -> None:
        backoff, loop = FIRST_BACKOFF_SECONDS, asyncio.get_running_loop()
        while not self._stop.is_set():
            began = loop.time()
            status = await self._run()
            if self._stop.is_set():
                return
            backoff = FIRST_BACKOFF_SECONDS if loop.time() - began > STEADY_SECONDS else backoff
            self.say(f"{self.spec.name} ended with {status}, starting it again in {backoff:.1f} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _run(self) -> int:
        """Start it once; its exit status, negative for a signal."""
        with self.log.open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *self.spec.command,
                env={**os.environ, **self.spec.environment},
                cwd=self.spec.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the supervisor alone; it stops the others in order.
                start_new_session=True,
            )
        self._child = child
        self.starts += 1
        give_way(child.pid, self.spec.niceness)
        if self._stop.is_set():  # stopped while it was being started
            self.kill(signal.SIGKILL)
        status = await child.wait()
        if self.spec.own_group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        return status

    def kill(self, number: signal.Signals) -> None:
        """Send a signal. Raises `ProcessLookupError` when it is not running."""
        if self.pid is None:
            raise ProcessLookupError(f"{self.spec.name} is not running")
        if self.spec.own_group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    async def stop(self, *, hurry: bool = False) -> None:
        """End it and wait until it has: kindly first, unless in a hurry."""
        self._stop.set()
        with contextlib.suppress(ProcessLookupError):
            self.kill(signal.SIGKILL if hurry else self.spec.stop_signal)
        if self._watch is None:
            return
        try:
            await asyncio.wait_for(asyncio.shield(self._watch), STOP_SECONDS)
        except TimeoutError:
            self.say(f"{self.spec.name} did not end in {STOP_SECONDS:.0f} s and is killed")
            with contextlib.suppress(ProcessLookupError):
                self.kill(signal.SIGKILL)
            await self._watch


def give_way(pid: int, niceness: int) -> None:
    """Let a session's processes give way as one.

    Linux shares a processor out among sessions first (sched(7), autogroups), so a thread's own niceness counts only
    among those of its session. Where it does not, in a container for one, shares are given by other means.
    """
    if niceness:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")
