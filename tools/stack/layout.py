"""Where a stack lives: its ports and its folders."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_BASE = 21_000
BLOCK = 100
"""Distance between two stacks' bases."""

OFFSETS = {
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
    "postgres": 20,
    "rabbitmq": 21,
    "rabbitmq-management": 22,
    "epmd": 23,
    "rabbitmq-distribution": 24,
    "redis": 25,
}
"""Every port of a stack, as an offset from its base."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A stack's name and base port, and everything that follows from them."""

    name: str
    base: int

    def port(self, process: str) -> int:
        return self.base + OFFSETS[process]

    def url(self, process: str) -> str:
        return f"http://127.0.0.1:{self.port(process)}"

    @property
    def home(self) -> Path:
        return ROOT / ".run" / self.name

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def description(self) -> Path:
        return self.home / "stack.json"

    @property
    def control(self) -> Path:
        """The control socket. Its path must stay short, whatever the checkout's is."""
        return Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"el-carril-{os.getuid()}-{self.base}.sock"  # noqa: S108

    def make(self) -> None:
        """Create the folders."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)


def free_base(wanted: int) -> int:
    """The first base from `wanted` on whose whole block is free.

    Raises:
        OSError: no block is free.
    """
    for base in range(wanted, 60_000, BLOCK):
        if all(_is_free(base + offset) for offset in OFFSETS.values()):
            return base
    raise OSError("no free block of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
