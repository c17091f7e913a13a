"""The servers, from Debian's packages: installed when missing, and never started system-wide."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

SCRIPT = Path(__file__).with_name("debian.sh")


def _any(pattern: str) -> bool:
    return any(Path("/").glob(pattern))


NEEDED: Mapping[str, Callable[[], bool]] = {
    "postgresql": lambda: _any("usr/lib/postgresql/*/bin/initdb"),
    "rabbitmq-server": lambda: _any("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"),
    "redis-server": lambda: shutil.which("redis-server") is not None,
    "nats-server": lambda: _any("usr/sbin/nats-server"),
    # For its `promtool`, which tests the alert rules.
    "prometheus": lambda: shutil.which("promtool") is not None,
    "util-linux": lambda: shutil.which("setpriv") is not None,
    "python3-venv": lambda: importlib.util.find_spec("ensurepip") is not None,
    # Without the authorities' certificates no package index can be trusted, and a minimal Debian has none.
    "ca-certificates": lambda: _any("etc/ssl/certs/ca-certificates.crt"),
}
"""Package by package, how to see without asking dpkg that what we use of it is there."""


def missing() -> list[str]:
    """The packages whose contents are not on this machine."""
    return [package for package, present in NEEDED.items() if not present()]


def install(packages: list[str]) -> None:
    """Install with apt, as root or through sudo. Raises `SystemExit` where that is impossible or fails."""
    if shutil.which("apt-get") is None:
        sys.exit(f"this is no Debian: please install the equivalent of {', '.join(packages)} by hand")
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    if as_root and shutil.which("sudo") is None:
        sys.exit(f"run this as root or install sudo: {', '.join(packages)} must be installed")
    print(f"installing from Debian: {' '.join(packages)}", flush=True)
    done = subprocess.run([*as_root, "sh", str(SCRIPT), *packages], check=False)
    if done.returncode != 0 or missing():
        sys.exit(f"could not install {', '.join(missing() or packages)} (apt's messages are above)")
