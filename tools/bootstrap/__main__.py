"""`python3 -m tools.bootstrap [lock | check-lock]`: set this machine up, if it is not already."""

from __future__ import annotations

import subprocess
import sys

from tools.bootstrap import debian, libraries, lock
from tools.bootstrap.places import OLDEST_PYTHON


def main(arguments: list[str]) -> int:
    """The exit status."""
    if sys.version_info[:2] < OLDEST_PYTHON:  # the machine's own python3 runs this, whatever it is
        sys.exit(f"El Carril needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")
    if arguments == ["check-lock"]:
        found = lock.complaints()
        print("\n".join(found) or "the locks name versions and hashes only")
        return 1 if found else 0
    if packages := debian.missing():
        debian.install(packages)
        if "python3-venv" in packages:
            # This process started without ensurepip; the next one sees it.
            return subprocess.run(
                [sys.executable, "-m", "tools.bootstrap", *arguments], check=False
            ).returncode
    if arguments == ["lock"]:
        lock.write()
    if not libraries.are_there():
        libraries.install()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
