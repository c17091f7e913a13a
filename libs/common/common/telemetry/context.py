"""Whose request this is: carried by the task, read by logs, clients and announcements."""

from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the HTTP request (or message) being worked on; None outside of one."""
