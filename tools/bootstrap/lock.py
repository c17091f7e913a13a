"""The lock: every library with version and hashes, and not a word about where it came from."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tools.bootstrap.index import environment
from tools.bootstrap.libraries import installer
from tools.bootstrap.places import INSTALLER, LOCK, ROOT, UV_PIN, members

PYTHON = "3.11"
EXTRA_PLACES = {"UV_INDEX", "UV_INDEX_STRATEGY", "UV_FIND_LINKS"}
FOREIGN = re.compile(
    r"[a-z][a-z0-9+.-]*://|^\s*(-e|--(index|extra|find|trusted)\S*)\s|(^|[\s@=])(/|\.{1,2}/)|file:",
    re.MULTILINE,
)
"""A URL, an index option, a path: what a lock must not name."""
ENTRY = re.compile(
    r"^[a-z0-9][a-z0-9._-]*(\[[a-z0-9,._-]+\])?==[^\s;]+( ; [^\\]+)? \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+$",
    re.MULTILINE,
)


def write() -> None:
    """Resolve the newest versions that fit and write both locks. Raises `SystemExit` if one names a place."""
    projects = [str(member.relative_to(ROOT) / "pyproject.toml") for member in members()]
    _compile(LOCK, [*projects, "--group", "tools", "--group", "dev"])
    _compile(UV_PIN, ["-"], stdin="uv\n")
    if found := complaints():
        sys.exit("\n".join(found))


def _compile(lock: Path, sources: list[str], stdin: str | None = None) -> None:
    uv = installer()
    quiet = ["-q", "--no-header", "--no-annotate", "--no-emit-index-url"]
    exact = ["--universal", "--generate-hashes", "--python-version", PYTHON]
    # A machine's extra places may hold only some files of a version, and the lock must list them all.
    variables = {
        name: value
        for name, value in environment(INSTALLER / "bin" / "pip").items()
        if name not in EXTRA_PLACES
    }
    own = [f"--no-emit-package=el-carril-{member.name}" for member in members()]
    subprocess.run(
        [uv, "pip", "compile", *quiet, *exact, *own, "--upgrade", *sources, "-o", lock],
        check=True,
        cwd=ROOT,
        env=variables | {"UV_PYTHON_DOWNLOADS": "never"},
        input=stdin,
        text=True,
        stdout=subprocess.DEVNULL,
    )


def complaints() -> list[str]:
    """What is wrong with the locks: places named, entries without hashes, members without their libraries."""
    return [found for lock in (LOCK, UV_PIN) for found in faults(lock.read_text(), lock.name)]


def faults(text: str, name: str) -> list[str]:
    """What is wrong with one lock's text."""
    named = [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: names a place: {match.group().strip()!r}"
        for match in FOREIGN.finditer(text)
    ]
    rest = ENTRY.sub("", text).strip()
    unhashed = [
        f"{name}: not an exact version with hashes: {line!r}" for line in rest.splitlines() if line.strip()
    ]
    return named + unhashed
