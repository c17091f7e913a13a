"""When a slow rail takes orders: windows of the day, by the rail's clock."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

from payments.domain.evidence import MEXICO_CITY

_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Windows:
    """Begin and end of each window, in minutes of the day, in order. None at all: always open."""

    minutes: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> "Windows":
        """Windows as `09:00-09:30,15:00-15:30`; empty: always open. Raises ValueError for anything else."""
        found = []
        for part in filter(None, text.split(",")):
            match = _WINDOW.fullmatch(part.strip())
            if match is None:
                raise ValueError(f"{part!r} is no window such as 09:00-09:30")
            begin, end = (int(match[1]) * 60 + int(match[2])), (int(match[3]) * 60 + int(match[4]))
            if begin >= end or end > 24 * 60:
                raise ValueError(f"{part!r} ends before it begins")
            found.append((begin, end))
        return cls(tuple(sorted(found)))

    def opens_at(self, now: datetime) -> datetime:
        """The moment from which orders are taken: `now` itself inside a window."""
        if not self.minutes:
            return now
        local = now.astimezone(MEXICO_CITY)
        midnight = datetime.combine(local.date(), time(), MEXICO_CITY)
        for day in (timedelta(0), timedelta(days=1)):
            for begin, end in self.minutes:
                begins = midnight + day + timedelta(minutes=begin)
                if now < begins:
                    return begins.astimezone(now.tzinfo)
                if now < midnight + day + timedelta(minutes=end):
                    return now
        raise AssertionError("tomorrow has a window, since today has one")
