"""What the commands say, and where: results on standard output, everything else on standard error.

Piped, rich writes plain text without colours; lines are never wrapped, so that they can be read by programs.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_ANY_WIDTH = 1_000

RESULTS = Console(
    width=None if sys.stdout.isatty() else _ANY_WIDTH,
    soft_wrap=True,
    highlight=False,
    markup=False,
    emoji=False,
)
ERRORS = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
