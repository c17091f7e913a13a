"""Where set-up puts things, all of it below the checkout and ignored by git."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements.lock"
UV_PIN: Final = Path(__file__).with_name("uv.txt")
"""The installer, pinned by hash like everything that it installs."""

INSTALLER: Final = ROOT / ".tools"
"""A virtual environment with pip and uv only."""
VENV: Final = ROOT / ".venv"
"""The virtual environment everything runs in."""
DEBIAN_PYTHON: Final = Path("/usr/bin/python3")
OLDEST_PYTHON: Final = (3, 11)


def members() -> list[Path]:
    """The directories of the packages of this house, in a fixed order."""
    return sorted(project.parent for project in ROOT.glob("[!.]*/*/pyproject.toml"))
