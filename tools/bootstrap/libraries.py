"""The libraries: exactly those of the lock, every file checked against its hash."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools.bootstrap import interpreter
from tools.bootstrap.index import environment
from tools.bootstrap.places import INSTALLER, LOCK, ROOT, UV_PIN, VENV, members

STAMP = VENV / "set-up"
"""Holds the fingerprint of what was installed; written last, so that a torn set-up is done again."""


def fingerprint() -> str:
    """Changes when anything that decides what gets installed changes."""
    inputs = [LOCK, UV_PIN, *(member / "pyproject.toml" for member in members())]
    python, version = interpreter.chosen()
    digest = hashlib.sha256(f"{ROOT} {python} {version}".encode())
    for path in inputs:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def are_there() -> bool:
    """Whether the virtual environment is what the lock wants."""
    return STAMP.exists() and STAMP.read_text() == fingerprint()


def install() -> None:
    """Make `.venv` hold the lock's libraries and this house's packages, editable."""
    print("installing libraries from requirements.lock", flush=True)
    uv = installer()
    variables = environment(INSTALLER / "bin" / "pip") | {
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
        "VIRTUAL_ENV": str(VENV),
    }
    STAMP.unlink(missing_ok=True)
    python, version = interpreter.chosen()
    made_with = VENV / "made-with"
    is_made = (VENV / "bin" / "python").exists() and made_with.exists()
    if not is_made or made_with.read_text() != f"{python} {version}":
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run(
            [uv, "venv", "-q", "--no-project", "--python", python, VENV], check=True, env=variables
        )
        made_with.write_text(f"{python} {version}")
    subprocess.run([uv, "pip", "sync", "-q", "--require-hashes", LOCK], check=True, cwd=ROOT, env=variables)
    editable = [argument for member in members() for argument in ("-e", str(member))]
    subprocess.run(
        # The build backend comes from the lock as well: nothing is fetched that has no hash there.
        [uv, "pip", "install", "-q", "--no-deps", "--no-build-isolation", *editable],
        check=True,
        cwd=ROOT,
        env=variables,
    )
    STAMP.write_text(fingerprint())


def installer() -> Path:
    """uv, of the pinned version, in a virtual environment of its own. Made when missing or outdated."""
    uv, stamp = INSTALLER / "bin" / "uv", INSTALLER / "set-up"
    if not (stamp.exists() and stamp.read_bytes() == UV_PIN.read_bytes()):
        subprocess.run([sys.executable, "-m", "venv", "--clear", INSTALLER], check=True)
        quiet = ["-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        subprocess.run(
            [INSTALLER / "bin" / "pip", "install", *quiet, "--require-hashes", "-r", UV_PIN], check=True
        )
        stamp.write_bytes(UV_PIN.read_bytes())
    return uv
