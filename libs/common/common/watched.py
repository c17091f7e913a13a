"""A secret or a set of keys in a file, read again when the file changes: what is rotated needs no restart."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from prometheus_client import Gauge

Content = TypeVar("Content")

LOOK_EVERY_SECONDS: Final = 1.0

GOOD: Final = Gauge(
    "watched_file_good", "0 while what the file says now is passed over, as no good.", ("file",)
)

log = logging.getLogger(__name__)


class WatchedFile(Generic[Content]):
    """What a file says, as `parse` reads it."""

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], Content],
        *,
        look_every_seconds: float = LOOK_EVERY_SECONDS,
    ) -> None:
        """`parse` raises ValueError for what it cannot read. Raises OSError or ValueError: a process does not begin
        with a file that is no good."""
        self._path = path
        self._parse = parse
        self._look_every_seconds = look_every_seconds
        self._looked_at = time.monotonic()
        self._version: tuple[int, int, int] | None = _version(path)
        self._content = parse(path.read_text(encoding="utf-8"))
        self._good = True
        GOOD.labels(path.name).set_function(self._is_good)

    @property
    def current(self) -> Content:
        """What the file says now, at most a look old. One that is gone or no good leaves what was said before."""
        now = time.monotonic()
        if now - self._looked_at >= self._look_every_seconds:
            self._looked_at = now
            self._look()
        return self._content

    def _is_good(self) -> float:
        """For whoever watches us: a file that nobody has needed since it changed is looked at as well."""
        self._look()
        return float(self._good)

    def _look(self) -> None:
        try:
            version = _version(self._path)
            if version == self._version:
                return
            self._content = self._parse(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if self._good:
                # The error of a parser may quote what it could not read, so its kind has to do.
                log.error("%s is no good and is passed over: %s", self._path.name, type(error).__name__)
            self._good = False
            self._version = None
        else:
            self._version, self._good = version, True
            log.info("%s has changed and was read again", self._path.name)


def _version(path: Path) -> tuple[int, int, int]:
    """What differs when a file was written or replaced. Its time alone does not: a clock's tick is milliseconds."""
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size
