"""What the processes of a running stack have spent so far: user and system time by what each of them is."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc."""

    pid: int
    parent: int
    command: str
    environment: frozenset[str]
    seconds: float


def processes() -> list[Process]:
    """Every process that may be looked at."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        spent = (int(fields[11]) + int(fields[12])) / TICK
        found.append(Process(int(folder.name), int(fields[1]), command, frozenset(environment), spent))
    return found


def service_pids(stack: Mapping[str, Any]) -> dict[str, int]:
    """The stack's own services by name, told by the port that each was given: other stacks have others."""
    ports = {name: url.rpartition(":")[2] for name, url in stack["urls"].items()}
    return {
        name: process.pid
        for process in processes()
        for name, port in ports.items()
        if f"SERVICE={name}" in process.environment and f"PORT={port}" in process.environment
    }


def cpu_seconds(stack: Mapping[str, Any]) -> dict[str, float]:
    """Seconds by service, by role in PostgreSQL, of the broker, of Redis, and of this process (`this client`).

    Everything of the stack counts: what is not any of these is `other`.
    """
    spent: dict[str, float] = defaultdict(float)
    running = processes()
    services = {pid: name for name, pid in service_pids(stack).items()}
    postgres = {each.pid for each in running if f" -p {stack['postgres']['port']} " in each.command}
    home = str(Path(stack["log_dir"]).parent)
    for each in running:
        if each.pid in services:
            spent[services[each.pid]] += each.seconds
        elif each.pid in postgres or each.parent in postgres:
            spent[f"postgres ({_backend(each.command)})"] += each.seconds
        elif each.pid != os.getpid() and (home in each.command or any(home in it for it in each.environment)):
            spent[_server(each.command)] += each.seconds
    spent["this client"] = sum(os.times()[:2])
    return spent


def _backend(command: str) -> str:
    """`postgres: betting_app betting 127.0.0.1(…) …` is by its role, what belongs to nobody is the server's own."""
    role = command.removeprefix("postgres: ").partition(" ")[0]
    return role if command.startswith("postgres: ") and "_" in role else "server"


def _server(command: str) -> str:
    for word, name in (("beam", "rabbitmq"), ("erl", "rabbitmq"), ("redis-server", "redis")):
        if word in command.partition(" ")[0]:
            return name
    return "other"
