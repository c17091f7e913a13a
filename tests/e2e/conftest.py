"""The whole platform, as `make test` started it."""

from __future__ import annotations

import pytest
from common.testing import Stack, stack


@pytest.fixture(scope="session")
def running() -> Stack:
    return stack()
