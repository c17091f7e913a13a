"""`python -m tools.migrations`: what every migration must look like.

Names are `YYYYMMDDHHMMSS_words.sql`, in order and unique; each has an up and a down; a service is not ready before
its newest one (`NEWEST_MIGRATION` in its `app.py`); and squawk finds nothing in the up that would lock, break or lose
what the running version still needs. Where it does and that is right,
the migration says so with a comment `-- squawk-ignore <rule>` and why.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SQUAWK: Final = Path(sys.executable).with_name("squawk")
NAME: Final = re.compile(r"\d{14}_[a-z0-9_]+\.sql")

WAITED_FOR: Final = re.compile(r'^NEWEST_MIGRATION = "(\d{14})"$', re.MULTILINE)

NOT_OURS: Final = {
    "require-lock-timeout": "the migrator's role has one, set in deploy/postgres/provision.sql",
    "require-statement-timeout": "the same",
    "prefer-bigint-over-int": "our small numbers have a CHECK that bounds them",
    "prefer-bigint-over-smallint": "the same",
    "ban-create-domain-with-constraint": "money is a domain, so that no column can forget its rule",
}
"""Rules that do not apply here, and why."""


def main() -> int:
    """The exit status: 1 when a migration is not as it must be."""
    folders = sorted(ROOT.glob("services/*/migrations"))
    found = [problem for folder in folders for problem in problems(folder)]
    print("\n".join(found) if found else "migrations are in order")
    return 1 if found else 0


def problems(folder: Path) -> Iterator[str]:
    """What is wrong with the migrations of one service."""
    versions: set[str] = set()
    for path in sorted(folder.iterdir()):
        if not NAME.fullmatch(path.name):
            yield f"{path}: not named YYYYMMDDHHMMSS_words.sql"
        version = path.name[:14]
        if version in versions:
            yield f"{path}: version {version} is taken"
        versions.add(version)
        up, separator, down = path.read_text(encoding="utf-8").partition("-- migrate:down")
        if not up.lstrip().startswith("-- migrate:up"):
            yield f"{path}: does not begin with -- migrate:up"
        if not separator or not down.strip():
            yield f"{path}: has no way down"
        yield from _squawks(path, up)
    yield from _waited_for(folder.parent, max(versions, default=""))


def _waited_for(service: Path, newest: str) -> Iterator[str]:
    """A service that waits for an older migration would serve on tables that it does not fit."""
    app = service / service.name / "app.py"
    told = WAITED_FOR.search(app.read_text(encoding="utf-8")) if app.is_file() else None
    if told is not None and told[1] != newest:
        yield f"{app}: waits for migration {told[1]}, and the newest is {newest}"


def _squawks(path: Path, up: str) -> list[str]:
    """squawk's findings. dbmate runs each migration in a transaction unless the migration says otherwise."""
    in_transaction = [] if "transaction:false" in up.partition("\n")[0] else ["--assume-in-transaction"]
    done = subprocess.run(
        [
            SQUAWK, *in_transaction, "--pg-version=15", "--reporter=gcc", f"--stdin-filepath={path}",
            *(f"--exclude={rule}" for rule in NOT_OURS),
        ],
        input=up, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = (done.stdout + done.stderr).strip()
    return told.splitlines() or ([f"{path}: squawk failed"] if done.returncode else [])


if __name__ == "__main__":
    sys.exit(main())
