"""Which Python everything runs in: Debian's own where it is new enough, else the one that runs set-up.

Debian compiles its interpreter with profiles of real work. One compiled by hand or by a version manager mostly is not, and
takes a third more CPU for the same requests (docs/adr/0080-debians-python.md).
"""

import os
import subprocess
import sys
from pathlib import Path

from tools.bootstrap.places import DEBIAN_PYTHON, OLDEST_PYTHON


def chosen(debian: Path = DEBIAN_PYTHON) -> tuple[Path, str]:
    """The interpreter and its version, as `sys.version` says it."""
    if os.access(debian, os.X_OK):
        asked = [str(debian), "-I", "-c", "import sys; print(*sys.version_info[:2]); print(sys.version)"]
        answer = subprocess.run(asked, check=False, capture_output=True, text=True)
        numbers, _, version = answer.stdout.partition("\n")
        if answer.returncode == 0 and tuple(map(int, numbers.split())) >= OLDEST_PYTHON:
            return debian, version.strip()
    return Path(sys.executable), sys.version
