"""Running a short-lived command on the way up, and hearing what went wrong when it fails."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.stack.layout import ROOT

PYTHON: Final = sys.executable
DBMATE: Final = Path(sys.executable).with_name("dbmate")
TOLD: Final = 3_000


async def output(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    given: str = "",
    directory: Path = ROOT,
) -> str:
    """What the command prints on its standard output. Raises `RuntimeError` with its messages if it fails.

    Secrets go in by `environment` or by standard input (`given`), since anybody can see a command line.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **(environment or {})},
        cwd=directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complained = await process.communicate(given.encode())
    if process.returncode != 0:
        messages = (told + complained).decode(errors="replace")[-TOLD:]
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{messages}")
    return told.decode()
