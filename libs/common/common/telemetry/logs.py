"""Logs: one JSON object a line, on standard output, without secrets.

Structured values go in `extra`; a value whose name sounds like a secret is replaced, and so is
anything in a text that looks like one. The message is for people.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

from common.telemetry.context import REQUEST_ID
from common.telemetry.traces import trace_ids

REDACTED: Final = "[redacted]"

_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)|secret|token|authorization|cookie|api_?key|private|signature|session|credential|dsn|otp|curp",
    re.IGNORECASE,
)
_SECRET_TEXT: Final = re.compile(
    r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"  # user:password of a URL
    r"|\blk_(?:live|test)_\w+"  # an API key
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JWT
    r"|(?<=[Bb]earer )[^\s\"',]+"
    r"|\b[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d\b"  # a CURP
)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


def configure_logs(service: str, level: str, stream: TextIO | None = None) -> None:
    """Send every logger's records to `stream` (standard output) as JSON lines.

    Call it once, when a process starts.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def redact(text: str) -> str:
    """The text with anything that looks like a secret replaced."""
    return _SECRET_TEXT.sub(REDACTED, text)


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record with its request and trace, and whatever `extra` it was given."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if (request_id := REQUEST_ID.get()) is not None:
            line["request_id"] = request_id
        if (ids := trace_ids()) is not None:
            line["trace_id"], line["span_id"] = ids
        for name, value in vars(record).items():
            if name not in _STANDARD and value is not None:
                line[name] = _safe(name, value)
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=lambda value: redact(str(value)))


def _safe(name: str, value: object) -> object:
    """The value as it may be logged, nested values included."""
    if _SECRET_NAME.search(name):
        return REDACTED
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(key): _safe(str(key), each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_safe("", each) for each in value]
    return value
