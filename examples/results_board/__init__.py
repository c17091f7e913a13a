"""A board that shows how markets ended: what an internal team's consumer looks like (docs/events.md)."""

from pathlib import Path
from typing import Final

FILES: Final = tuple(sorted(Path(__file__).parent.glob("*.py")))
