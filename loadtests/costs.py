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

    Everything of the stack counts, told by its supervisor: what is not any of these is `other`.
    """
    spent: dict[str, float] = defaultdict(float)
    running = {each.pid: each for each in processes()}
    services = {pid: name for name, pid in service_pids(stack).items()}
    supervisors = {running[pid].parent for pid in services if pid in running}
    for each in running.values():
        if each.pid != os.getpid() and _descends(each, supervisors, running):
            spent[services.get(each.pid) or _server(each.command)] += each.seconds
    spent["this client"] = sum(os.times()[:2])
    return spent


def _descends(process: Process, ancestors: set[int], running: Mapping[int, Process]) -> bool:
    """Told by parents: servers write over what /proc shows of their environment."""
    above: Process | None = process
    while above is not None and above.parent not in ancestors:
        above = running.get(above.parent)
    return above is not None


def _server(command: str) -> str:
    if command.startswith("postgres: "):
        return f"postgres ({_backend(command)})"
    for word, name in (("postgres", "postgres (server)"), ("beam", "rabbitmq"), ("redis-server", "redis")):
        if word in command.partition(" ")[0]:
            return name
    return "other"


def _backend(command: str) -> str:
    """`postgres: betting_app betting 127.0.0.1(…) …` is by its role, what belongs to nobody is the server's own."""
    role = command.removeprefix("postgres: ").partition(" ")[0]
    return role if "_" in role else "server"
