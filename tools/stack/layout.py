"""Where a stack lives: its ports and its folders."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DEFAULT_BASE: Final = 21_000
BLOCK: Final = 100
"""Distance between two stacks' bases."""

OFFSETS: Final = {
    "gateway": 0,
    "identity": 1,
    "betting": 2,
    "payments": 3,
    "ledger": 4,
    "ledger-receipts": 5,
    "attestor": 6,
    "rail": 7,
    "relay-ledger": 10,
    "relay-betting": 11,
    "relay-identity": 12,
    "relay-payments": 13,
    "ledger-2": 14,
    "ledger-sealer": 15,
    "central-bank": 16,
    "psp": 17,
    "betting-settler": 18,
    "postgres": 20,
    "rabbitmq": 21,
    "rabbitmq-management": 22,
    "epmd": 23,
    "rabbitmq-distribution": 24,
    "redis": 25,
    "redis-cache": 26,
    "postgres-replica": 27,
    "traces": 39,
}
"""Every port of a stack, as an offset from its base."""
CLAIM_OFFSET: Final = BLOCK - 1
"""Held by the supervisor itself, so that two stacks starting at once do not choose the same block."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A stack's name and base port, and everything that follows from them."""

    name: str
    base: int

    def port(self, process: str) -> int:
        return self.base + OFFSETS[process]

    def host(self, process: str) -> str:  # noqa: ARG002 - elsewhere each process has a host of its own
        return "127.0.0.1"

    def address(self, process: str) -> str:
        return f"{self.host(process)}:{self.port(process)}"

    def url(self, process: str) -> str:
        return f"http://{self.address(process)}"

    @property
    def home(self) -> Path:
        return ROOT / ".run" / self.name

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    @property
    def description(self) -> Path:
        """What tests and tools read; `EL_CARRIL_STACK` names it."""
        return self.home / "stack.json"

    @property
    def control(self) -> Path:
        """The control socket: beside the rest if its path is not too long for a socket's name."""
        beside = self.home / "control"
        if len(os.fsencode(beside)) < LONGEST_SOCKET_PATH:
            return beside
        digest = hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"el-carril-{os.getuid()}-{digest}"

    def make(self) -> None:
        """Create the folders."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)


LONGEST_SOCKET_PATH: Final = 100


class Occupied(Exception):
    """A stack of this name is already up."""


@contextmanager
def held(name: str) -> Iterator[None]:
    """Be the only supervisor of that stack, for as long as the context lasts. Raises `Occupied`."""
    home = ROOT / ".run" / name
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Occupied(f"the stack {name!r} is already up") from None
        yield


def is_held(name: str) -> bool:
    """Whether a supervisor of that stack is alive."""
    try:
        with held(name):
            return False
    except Occupied:
        return True


@contextmanager
def claimed_base(wanted: int) -> Iterator[int]:
    """The first base from `wanted` on whose whole block is free, claimed for as long as the context lasts.

    Raises `OSError` when no block is free.
    """
    for base in range(wanted, _first_ephemeral_port() - BLOCK, BLOCK):
        claim = _listening(base + CLAIM_OFFSET)
        if claim is None:
            continue
        with claim:
            if all(_is_free(base + offset) for offset in OFFSETS.values()):
                yield base
                return
    raise OSError(f"no free block of ports from {wanted} on")


def _first_ephemeral_port() -> int:
    """Above it the kernel gives ports to anybody's outgoing connections."""
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])


def _is_free(port: int) -> bool:
    probe = _listening(port)
    if probe is not None:
        probe.close()
    return probe is not None


def _listening(port: int) -> socket.socket | None:
    """A socket listening there; None if somebody else has the port, on whatever address."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError:
        listener.close()
        return None
    return listener
