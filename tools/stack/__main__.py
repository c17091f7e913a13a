"""`python -m tools.stack`: a private stack, and orders to its supervisor."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from tools.stack import chart, control, postgres, sessions
from tools.stack.layout import DEFAULT_BASE, Layout, Occupied
from tools.stack.schema import dump


def main() -> int:
    """The exit status: of the command in `with`, else 0, or 1 for what was refused."""
    wanted = _parser().parse_args()
    try:
        return asyncio.run(_act(wanted))
    except (Occupied, OSError) as refused:
        print(refused, file=sys.stderr)
        return 1


async def _act(wanted: argparse.Namespace) -> int:
    match wanted.act:
        case "run" | "infra" if wanted.detach:
            return await sessions.detach(wanted.name, [each for each in sys.argv[1:] if each != "--detach"])
        case "run" | "infra":
            infra_only = wanted.act == "infra"
            return await sessions.stay_up(
                wanted.name, wanted.base, infra_only=infra_only, welcome=not (infra_only or wanted.bare)
            )
        case "with":
            command = wanted.command[1:] if wanted.command[:1] == ["--"] else wanted.command
            return await sessions.run_inside(command, infra_only=wanted.infra_only, traces=wanted.traces)
        case "migrate":
            await postgres.migrate(_named(wanted.name))
            return 0
        case "schema":
            return await _schema(check=wanted.check)
        case "clean":
            return sessions.clean()
        case _:
            return await _order(wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.stack")
    acts = parser.add_subparsers(dest="act", required=True)
    run = acts.add_parser("run", help="start everything, stay up, keep the data")
    infra = acts.add_parser("infra", help="the same without El Carril's own processes")
    run.add_argument("--bare", action="store_true", help="make no demo race day")
    for up in (run, infra):
        up.add_argument("--name", default="dev")
        up.add_argument(
            "--base", type=int, default=DEFAULT_BASE, help="first port; the next free block if taken"
        )
        up.add_argument("--detach", action="store_true", help="return when it is up; `down` ends it")
    inside = acts.add_parser("with", help="run a command inside a throw-away stack")
    inside.add_argument("--infra-only", action="store_true")
    inside.add_argument(
        "--traces",
        action="store_true",
        help="the services send the spans of sampled requests to the port `traces`",
    )
    inside.add_argument("command", nargs=argparse.REMAINDER)
    schema = acts.add_parser(
        "schema", help="write every schema.sql, and docs/chart.md, from the stack of EL_CARRIL_STACK"
    )
    schema.add_argument("--check", action="store_true", help="fail when a dump differs instead of writing it")
    acts.add_parser("clean", help="forget every stack that is down: data, secrets, logs")
    for act, told in (
        ("migrate", "run the services' new migrations"),
        ("status", "processes, pids and starts"),
        ("down", "stop the stack"),
    ):
        acts.add_parser(act, help=told).add_argument("--name", default="dev")
    for act in control.ACTS:
        order = acts.add_parser(act, help=f"{act} one process")
        order.add_argument("process")
        if act == "kill":
            order.add_argument("signal", nargs="?", default="KILL")
        order.add_argument("--name", default="dev")
    return parser


def _named(name: str) -> Layout:
    """The layout of a stack that was up before. Raises `FileNotFoundError`."""
    described = json.loads(Layout(name, 0).description.read_text(encoding="utf-8"))
    return Layout(name, described["base"])


async def _order(wanted: argparse.Namespace) -> int:
    """Send an order to a running stack's supervisor."""
    order = {name: value for name, value in vars(wanted).items() if name in {"act", "process", "signal"}}
    answer = await control.ask(Layout(wanted.name, 0), order)
    print(json.dumps(answer, indent=1))
    return 1 if "error" in answer else 0


async def _schema(*, check: bool) -> int:
    layout = _named(Path(os.environ["EL_CARRIL_STACK"]).parent.name)
    stale = [service for service in postgres.SERVICES if not await dump(layout, service, check=check)]
    if not await chart.write(layout, check=check):
        print("docs/chart.md is not what the ledger's database says (run: make schema)", file=sys.stderr)
        return 1
    if stale:
        names = ", ".join(stale)
        print(f"schema.sql is not what the migrations make: {names} (run: make schema)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
