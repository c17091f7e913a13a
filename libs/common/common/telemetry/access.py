"""The access log: a JSON line per request, in the form of `logs` but not by way of `logging`.

At thousands of requests a second a log record costs more than the request it tells of (measured: a
third of a small POST), so a line is put together by hand and lines are written a few times a second.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TextIO

from common.telemetry.logs import redact

FLUSH_SECONDS: Final = 0.25
"""How long a line may wait to be written. A killed process loses at most these lines."""


@lru_cache(maxsize=1024)
def _message(method: str, path: str, status: int) -> str:
    """What happened, as JSON. Looking for secrets takes longer than all the rest of a line."""
    return json.dumps(redact(f"{method} {path} {status}"))


class AccessLog:
    """Notes requests; writes them soon, all together."""

    def __init__(self, service: str, stream: TextIO | None = None) -> None:
        """Lines go to `stream`, or to what standard output is when they are written."""
        self._service = json.dumps(service)
        self._stream = stream
        self._lines: list[str] = []

    def note(
        self, method: str, path: str, status: int, *, seconds: float, request_id: str, subject: str | None
    ) -> None:
        """Note one request. Needs a running event loop, on which it is written."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        self._lines.append(
            f'{{"time": "{datetime.now(UTC).isoformat(timespec="milliseconds")}", "level": "INFO", '
            f'"service": {self._service}, "logger": "access", '
            f'"message": {_message(method, path, status)}, '
            f'"request_id": "{request_id}", "ms": {seconds * 1000:.2f}, "subject": {json.dumps(subject)}}}\n'
        )

    def flush(self) -> None:
        """Write what has been noted."""
        lines, self._lines = self._lines, []
        stream = self._stream or sys.stdout
        stream.write("".join(lines))
        stream.flush()
