"""Where a page of a list begins."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Place:
    """The last item of the page before: lists are ordered by time, then id, the latest first."""

    at: datetime
    id: UUID
