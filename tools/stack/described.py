"""The stack that somebody else has started, as tools and measurements find it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.testing import VARIABLE

Stack = Mapping[str, Any]
"""The whole description that the supervisor writes; `common.testing.stack` is the part that tests need, typed."""


def running_stack() -> Stack:
    """The stack that EL_CARRIL_STACK describes. Raises `LookupError` when there is none."""
    path = os.environ.get(VARIABLE)
    if path is None:
        raise LookupError(f"{VARIABLE} is not set: start a stack first (`python -m tools.stack with -- …`)")
    stack: Stack = json.loads(Path(path).read_text(encoding="utf-8"))
    return stack
