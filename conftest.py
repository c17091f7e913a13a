"""For every test of the house."""

from __future__ import annotations

import asyncio

from common.testing import LEFTOVERS


def pytest_configure() -> None:
    LEFTOVERS.at_once = 24


def pytest_sessionfinish() -> None:
    asyncio.run(LEFTOVERS.drop())
