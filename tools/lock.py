"""`python -m tools.lock`: resolve every member's dependencies into the one hashed `requirements.lock`.

The members themselves are not in it; they are installed from the checkout. No index is named, so that the
lock serves whatever index the machine is configured for. With `--check` only that is looked at.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
OWN = "el-carril-"


def main() -> int:
    """The exit status: 1 when the lock names a host or a path."""
    parser = argparse.ArgumentParser(prog="python -m tools.lock")
    parser.add_argument("--check", action="store_true", help="only look for hosts and paths in the lock files")
    if not parser.parse_args().check:
        _resolve()
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in (LOCK, ROOT / "tools" / "uv.lock")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"://|(^|\s)(/|--(index|extra-index|find-links))", line)
    ]
    print("\n".join(found) if found else "the lock files name no host and no path")
    return 1 if found else 0


def _resolve() -> None:
    subprocess.run(
        [
            ROOT / ".tools" / "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-emit-index-url",
            "--no-annotate", "--no-header", "--python-version", "3.11", "-", "--output-file", LOCK,
        ],
        input="\n".join(sorted(_wanted())), text=True, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _wanted() -> set[str]:
    """What the members and the house's own tools depend on, our own packages aside."""
    wanted: set[str] = set()
    for path in (*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        wanted |= {name for name in project.get("dependencies", ()) if not name.startswith(OWN)}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    return wanted.union(*groups.values())


if __name__ == "__main__":
    sys.exit(main())
