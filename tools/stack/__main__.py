"""`python -m tools.stack run | infra | with | status | kill | start | stop | wait | schema`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time

from tools.stack import postgres
from tools.stack.layout import DEFAULT_BASE, ROOT, Layout, free_base
from tools.stack.schema import dump
from tools.stack.supervisor import Supervisor

THROW_AWAY_BASE = 24_000


def main() -> int:
    """The exit status: of the command in `with`, else 0, or 1 for what was refused."""
    wanted = _parser().parse_args()
    match wanted.act:
        case "run" | "infra":
            return asyncio.run(_stay_up(_kept(wanted.name, wanted.base), infra_only=wanted.act == "infra"))
        case "with":
            return asyncio.run(_run_inside(wanted.command, infra_only=wanted.infra_only))
        case "schema":
            return asyncio.run(_schema(check=wanted.check))
        case act:
            return asyncio.run(_order(act, wanted))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.stack")
    acts = parser.add_subparsers(dest="act", required=True)
    for act, told in (
        ("run", "start everything and stay up"),
        ("infra", "the same without El Carril's services"),
    ):
        up = acts.add_parser(act, help=told)
        up.add_argument("--name", default="dev")
        up.add_argument(
            "--base", type=int, default=DEFAULT_BASE, help="first port; the next free block if taken"
        )
    inside = acts.add_parser("with", help="run a command inside a throw-away stack")
    inside.add_argument("--infra-only", action="store_true")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    schema = acts.add_parser("schema", help="dump every service's schema.sql from its migrations")
    schema.add_argument("--check", action="store_true", help="fail when a dump differs instead of writing it")
    acts.add_parser("status", help="processes, pids and starts").add_argument("--name", default="dev")
    for act in ("kill", "start", "stop", "wait"):
        order = acts.add_parser(act)
        order.add_argument("process")
        if act == "kill":
            order.add_argument("signal", nargs="?", default="KILL")
        order.add_argument("--name", default="dev")
    return parser


def _kept(name: str, base: int) -> Layout:
    """The layout of a stack that keeps its data: the base it had, if that is still free."""
    before = Layout(name, base).description
    if before.exists():
        base = json.loads(before.read_text(encoding="utf-8"))["base"]
    return Layout(name, free_base(base))


def _sayer(name: str) -> Supervisor.say:  # type: ignore[name-defined]
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {name}: {line}", flush=True)

    return say


async def _stay_up(layout: Layout, *, infra_only: bool) -> int:
    """Up, then wait for Ctrl-C or SIGTERM, then down."""
    stop = _on_signal()
    supervisor = Supervisor(layout, _sayer(layout.name), infra_only=infra_only)
    try:
        await supervisor.up()
        if not infra_only:
            await _welcome(layout)
        await stop.wait()
    except RuntimeError as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        await supervisor.down()
    return 0


def _on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _welcome(layout: Layout) -> None:
    """The demo day, and where to look."""
    seed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.raceday", "seed", cwd=ROOT,
        env=os.environ | {"EL_CARRIL_STACK": str(layout.description)},
    )  # fmt: skip
    await seed.wait()
    description = json.loads(layout.description.read_text(encoding="utf-8"))
    broker = description["rabbitmq"]
    print(f"\n  gateway     {layout.url('gateway')}   (pages: {layout.url('gateway')}/docs)")
    for process in ("identity", "betting", "payments", "ledger", "ledger-receipts"):
        print(f"  {process:16} {layout.url(process)}/docs")
    print(f"  rail (simulated) {layout.url('rail')}")
    print(f"  RabbitMQ         http://127.0.0.1:{broker['management']}   admin / {broker['users']['admin']}")
    print(
        f"\n  logs in {layout.logs.relative_to(ROOT)}, Ctrl-C stops everything and keeps the data\n",
        flush=True,
    )


async def _run_inside(command: list[str], *, infra_only: bool) -> int:
    """Run `command` with EL_CARRIL_STACK naming a throw-away stack, whatever happens to it taken down."""
    command = command[1:] if command[:1] == ["--"] else command
    name = f"t{secrets.token_hex(3)}"
    layout = Layout(name, free_base(THROW_AWAY_BASE + secrets.randbelow(200) * 100))
    stop = _on_signal()
    supervisor = Supervisor(layout, _sayer(name), infra_only=infra_only, throw_away=True)
    try:
        await supervisor.up()
        child = await asyncio.create_subprocess_exec(
            *command, env=os.environ | {"EL_CARRIL_STACK": str(layout.description)}
        )
        ended, stopped = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await ended
        stopped.cancel()
        return ended.result()
    except RuntimeError as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        await supervisor.down()


async def _order(act: str, wanted: argparse.Namespace) -> int:
    """Send an order to a running stack's supervisor."""
    description = json.loads(Layout(wanted.name, 0).description.read_text(encoding="utf-8"))
    reader, writer = await asyncio.open_unix_connection(description["control"])
    order = {"act": act} | {key: value for key, value in vars(wanted).items() if key in {"process", "signal"}}
    writer.write(json.dumps(order).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    print(json.dumps(answer, indent=1))
    return 1 if "error" in answer else 0


async def _schema(*, check: bool) -> int:
    description = json.loads(open(os.environ["EL_CARRIL_STACK"], encoding="utf-8").read())
    layout = Layout(description["name"], description["base"])
    stale = [service for service in postgres.SERVICES if not await dump(layout, service, check=check)]
    if stale:
        print(
            f"schema.sql is not what the migrations make: {', '.join(stale)} (run: make schema)",
            file=sys.stderr,
        )
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
