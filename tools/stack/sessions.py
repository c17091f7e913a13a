"""The life of a stack: one that stays up and keeps its data, or a throw-away one around a command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tools.stack import postgres
from tools.stack.control import Control, ask, listening
from tools.stack.layout import BLOCK, ROOT, Layout, claimed_base, held, is_held
from tools.stack.order import extras, steps
from tools.stack.process import Say
from tools.stack.running import PYTHON
from tools.stack.supervisor import Supervisor

THROW_AWAY: Final = "throw-away-"
THROW_AWAY_BASES: Final = (24_000, 30_000)
FAILURES: Final = ROOT / ".run" / "failures"
"""The logs of throw-away stacks that failed, or whose command did, each under its name."""
FAILURES_KEPT: Final = 4
DETACHED_SECONDS: Final = 240.0


async def stay_up(name: str, base: int, *, infra_only: bool, welcome: bool) -> int:
    """Up, then wait for Ctrl-C, SIGTERM or an order, then down. The data stays."""
    with held(name), claimed_base(base) as found:
        layout = Layout(name, found)
        layout.make()
        say = _teller(name, layout.log("supervisor"), aloud=True)
        leave = _on_signal()
        say(f"starting on ports {found} to {found + BLOCK - 1}, logs in {layout.logs.relative_to(ROOT)}")
        try:
            supervisor = _supervisor(layout, say, infra_only=infra_only)
            async with _running(supervisor, layout, leave):
                say("ready")
                if welcome:
                    await _welcome(layout)
                await leave.wait()
                say("stopping")
        except RuntimeError as failed:
            print(failed, file=sys.stderr)
            return 1
        say("stopped")
    return 0


def _supervisor(
    layout: Layout, say: Say, *, infra_only: bool, throw_away: bool = False, traces: bool = False
) -> Supervisor:
    wanted = steps(layout, infra_only=infra_only, throw_away=throw_away, traces=traces)
    return Supervisor(wanted, layout.logs, say, extras=[] if infra_only else extras(layout))


@asynccontextmanager
async def _running(
    supervisor: Supervisor, layout: Layout, leave: asyncio.Event, *, hurry: bool = False
) -> AsyncIterator[None]:
    """Up for as long as the context lasts, and down whatever happens in it."""
    try:
        async with listening(layout, Control(supervisor, leave)):
            starting = asyncio.create_task(supervisor.up())
            leaving = asyncio.create_task(leave.wait())
            await asyncio.wait((starting, leaving), return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                raise RuntimeError("told to stop while starting")
            starting.result()
            yield
    finally:
        await supervisor.down(hurry=hurry)


def _on_signal() -> asyncio.Event:
    leave = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    return leave


def _teller(name: str, log: Path, *, aloud: bool) -> Say:
    began = time.monotonic()

    def say(line: str) -> None:
        stamped = f"[{time.monotonic() - began:6.1f} s] {name}: {line}"
        with log.open("a", encoding="utf-8") as file:
            file.write(stamped + "\n")
        if aloud:
            print(stamped, flush=True)

    return say


async def _welcome(layout: Layout) -> None:
    """The demo day, and where to look."""
    seed = await asyncio.create_subprocess_exec(
        PYTHON, "-m", "tools.raceday", "seed", cwd=ROOT,
        env=os.environ | {"EL_CARRIL_STACK": str(layout.description)},
    )  # fmt: skip
    if await seed.wait() != 0:
        print("  (the demo race day could not be made; see above)", file=sys.stderr)
    admin = json.loads(layout.description.read_text(encoding="utf-8"))["rabbitmq"]["users"]["admin"]
    print(f"\n  gateway           {layout.url('gateway')}/docs")
    for process in ("identity", "betting", "payments", "ledger", "ledger-receipts"):
        print(f"  {process:17} {layout.url(process)}/docs")
    print(f"  simulated rail    {layout.url('rail')}")
    print(f"  RabbitMQ          {layout.url('rabbitmq-management')}   user admin, password {admin}")
    print("\n  Ctrl-C stops everything and keeps the data.\n", flush=True)


async def run_inside(command: list[str], *, infra_only: bool, traces: bool = False) -> int:
    """Run a command with EL_CARRIL_STACK naming a throw-away stack, taken down whatever happens.

    Returns the command's exit status. The logs of a failure are kept.
    """
    _sweep()
    name = f"{THROW_AWAY}{secrets.token_hex(3)}"
    first, last = THROW_AWAY_BASES
    wanted = first + secrets.randbelow((last - first) // BLOCK) * BLOCK
    with held(name), claimed_base(wanted) as base:
        layout = Layout(name, base)
        layout.make()
        say = _teller(name, layout.log("supervisor"), aloud=False)
        supervisor = _supervisor(layout, say, infra_only=infra_only, throw_away=True, traces=traces)
        leave, status, began = _on_signal(), 1, time.monotonic()
        try:
            async with _running(supervisor, layout, leave, hurry=True):
                print(f"{name} on ports from {base}: up after {time.monotonic() - began:.1f} s", flush=True)
                status = await _command(command, layout, leave)
        except RuntimeError as failed:
            print(failed, file=sys.stderr)
        finally:
            _forget(layout, keep_logs=status != 0)
            kept = f", logs kept in {FAILURES.relative_to(ROOT) / name}" if status != 0 else ""
            print(f"{name}: down{kept}", flush=True)
    return status


async def _command(command: list[str], layout: Layout, leave: asyncio.Event) -> int:
    """Its exit status. When told to leave, the command is told first."""
    child = await asyncio.create_subprocess_exec(
        *command, env=os.environ | {"EL_CARRIL_STACK": str(layout.description)}
    )
    ended, leaving = asyncio.create_task(child.wait()), asyncio.create_task(leave.wait())
    await asyncio.wait((ended, leaving), return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
    leaving.cancel()
    return await ended


def _forget(layout: Layout, *, keep_logs: bool) -> None:
    """Delete a stack that is down. Its logs may be worth a look after a failure."""
    if keep_logs and layout.logs.exists():
        FAILURES.mkdir(parents=True, exist_ok=True)
        shutil.move(layout.logs, FAILURES / layout.name)
        newest = sorted(FAILURES.iterdir(), key=lambda kept: kept.stat().st_mtime, reverse=True)
        for old in newest[FAILURES_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    postgres.remove(layout)
    layout.control.unlink(missing_ok=True)
    shutil.rmtree(layout.home, ignore_errors=True)


def _sweep() -> None:
    """Delete what throw-away stacks left whose supervisors were killed."""
    for home in (ROOT / ".run").glob(f"{THROW_AWAY}*"):
        if not is_held(home.name):
            _forget(Layout(home.name, 0), keep_logs=False)


def clean() -> int:
    """Forget every stack that is down: data, secrets, logs."""
    for home in sorted((ROOT / ".run").glob("*/lock")):
        name = home.parent.name
        if is_held(name):
            print(f"{name} is up and stays")
        else:
            _forget(Layout(name, 0), keep_logs=False)
            print(f"{name} is forgotten")
    return 0


async def detach(name: str, arguments: list[str]) -> int:
    """Start a stack in the background and return when it is up."""
    layout = Layout(name, 0)
    layout.make()
    with layout.log("supervisor").open("ab") as log:
        child = subprocess.Popen(  # noqa: ASYNC220 - it is to outlive this process, not to be waited for
            [PYTHON, "-m", "tools.stack", *arguments],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DETACHED_SECONDS):
            while child.poll() is None:
                with contextlib.suppress(OSError):
                    if (await ask(layout, {"act": "status"}))["up"]:
                        print(f"{name} is up: {layout.description}")
                        return 0
                await asyncio.sleep(0.2)
    print(layout.log("supervisor").read_text(encoding="utf-8")[-3000:], file=sys.stderr)
    return 1
