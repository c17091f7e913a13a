"""The published schemas of every message, one file each under `docs/contracts`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from contracts.compatibility import breaks, is_command, published

FOLDER: Final = Path(__file__).resolve().parents[1] / "docs" / "contracts"


def documents(*, release: bool) -> dict[Path, str]:
    """The schemas that are to lie there: of what is published, and with `release` of everything."""
    return {
        path: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for path, schema in ((FOLDER / f"{name}.json", schema) for name, schema in published().items())
        if release or path.exists()
    }


def broken() -> list[str]:
    """What is published and no longer so, as sentences."""
    now = published()
    return [
        f"{path.stem}: {said} (published in docs/contracts: leave it, or publish a .v2 beside it)"
        for path in sorted(FOLDER.glob("*.json"))
        for said in (
            breaks(
                json.loads(path.read_text(encoding="utf-8")), now[path.stem], command=is_command(path.stem)
            )
            if path.stem in now
            else ["the message is gone"]
        )
    ]
