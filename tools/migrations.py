"""`python -m tools.migrations`: what every migration must look like.

Names are `YYYYMMDDHHMMSS_words.sql`, in order and unique; each has an up and a down; none drops or rewrites
what the running version still needs (a drop belongs in a down, or in a migration that says why).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = re.compile(r"\d{14}_[a-z0-9_]+\.sql")
BREAKING = re.compile(
    r"^\s*(DROP (TABLE|COLUMN|TYPE)|ALTER TABLE \S+ (DROP COLUMN|RENAME)|TRUNCATE)\b", re.IGNORECASE | re.MULTILINE
)
EXCUSED = "-- breaking: "
"""A comment that says why a breaking change is safe here."""


def main() -> int:
    """The exit status: 1 when a migration is not as it must be."""
    problems = [problem for folder in sorted(ROOT.glob("services/*/migrations")) for problem in _problems(folder)]
    print("\n".join(problems) if problems else "migrations are in order")
    return 1 if problems else 0


def _problems(folder: Path) -> Iterator[str]:
    versions: set[str] = set()
    for path in sorted(folder.iterdir()):
        where = path.relative_to(ROOT)
        if not NAME.fullmatch(path.name):
            yield f"{where}: not named YYYYMMDDHHMMSS_words.sql"
        version = path.name[:14]
        if version in versions:
            yield f"{where}: version {version} is taken"
        versions.add(version)
        up, separator, down = path.read_text(encoding="utf-8").partition("-- migrate:down")
        if not up.lstrip().startswith("-- migrate:up"):
            yield f"{where}: does not begin with -- migrate:up"
        if not separator or not down.strip():
            yield f"{where}: has no way down"
        if BREAKING.search(up) and EXCUSED not in up:
            yield f"{where}: breaks what runs (say why with '{EXCUSED}…')"


if __name__ == "__main__":
    sys.exit(main())
