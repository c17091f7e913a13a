"""One client: what it watches, how far it is told, and what waits to be sent.

What must not be lost (`status`, `me`) queues up, bounded: who falls that far behind is cut off and comes back. Changes of
books are never queued: only which levels changed is remembered, and their last amounts are sent when the client can take
them. So a slow client costs no more memory than a fast one, and one that is very late gets a fresh image instead.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from gateway.live.images import Delta, Image, LevelKey, book_of

MOST_MESSAGES = 1_000
MOST_MARKETS = 64
LATE_SECONDS = 2.0
"""A client whose oldest untold change is older gets the image."""


class TooSlow(Exception):
    """The client does not read what it must not miss."""


@dataclass(slots=True)
class Watched:
    """A market as one client was told of it. `clk` None: it needs the image first."""

    image: Image
    clk: int | None
    dirty: dict[LevelKey, str] = field(default_factory=dict)
    since: float = 0.0
    told_at: float = float("-inf")
    """When the client was last told of the book."""


class Watcher:
    """One client's state. `next_message` waits for something to send; `subject` is whose `me` it hears."""

    def __init__(
        self,
        subject: str,
        *,
        heartbeat_seconds: float = 5.0,
        conflate_seconds: float = 0.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.subject = subject
        self.heartbeat_seconds = heartbeat_seconds
        self.conflate_seconds = conflate_seconds
        self.hears_me = False
        self.markets: dict[str, Watched] = {}
        self._messages: deque[str] = deque()
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._clock = clock
        self._broken = False

    def watch(self, image: Image, clk: int | None) -> None:
        """Watch a market, from where the client says that it is. Its clock is that of the book alone, so how the market
        stands is told besides."""
        missed = None if clk is None else image.since(clk)
        watched = self.markets[image.market] = Watched(image, None if missed is None else clk)
        if missed is not None:
            self.tell(status_message(image))
            watched.dirty.update(missed.levels)
            watched.since = self._clock()
        self._wake.set()
        self._urgent.set()

    def changed(self, market: str, delta: Delta) -> None:
        """A market's book changed."""
        watched = self.markets.get(market)
        if watched is None or watched.clk is None:
            return
        if not watched.dirty:
            watched.since = self._clock()
        watched.dirty.update(delta.levels)
        self._wake.set()

    def renewed(self, image: Image, delta: Delta) -> None:
        """A market's image was made anew, and this is how it differs from the last one."""
        watched = self.markets.get(image.market)
        if watched is not None:
            watched.image = image
            if delta.levels:
                self.changed(image.market, delta)

    def tell(self, message: str) -> None:
        """Queue what must not be lost."""
        self._broken = self._broken or len(self._messages) >= MOST_MESSAGES
        self._messages.append(message)
        self._wake.set()
        self._urgent.set()

    async def next_message(self) -> str:
        """What to send next; a heartbeat if nothing happened in time. Raises TooSlow."""
        while True:
            if self._broken:
                raise TooSlow
            message = self._pop()
            if message is not None:
                return message
            rests = [self._rest(watched) for watched in self.markets.values() if watched.dirty]
            if rests:  # changes gather for as long as the client asked; what must not wait does not
                await _within(min(rests), self._urgent)
            elif not await _within(self.heartbeat_seconds, self._wake):
                return json.dumps({"op": "hb", "clk": self.clocks()})

    def clocks(self) -> dict[str, int]:
        """How far the client was told, by market."""
        return {market: watched.clk for market, watched in self.markets.items() if watched.clk is not None}

    def _rest(self, watched: Watched) -> float:
        """In how many seconds changes of a market's book may be told."""
        return watched.told_at + self.conflate_seconds - self._clock()

    def _late(self, watched: Watched) -> float:
        """For how many seconds they could have been told."""
        return min(self._clock() - watched.since, -self._rest(watched))

    def _pop(self) -> str | None:
        if self._messages:
            return self._messages.popleft()
        for watched in self.markets.values():
            if watched.clk is None or (watched.dirty and self._late(watched) > LATE_SECONDS):
                message = image_message(watched.image)
            elif watched.dirty and self._rest(watched) <= 0:
                written = watched.image.written.get(watched.clk)
                if written is None:
                    delta = Delta(watched.clk, watched.image.clk, watched.dirty)
                    written = watched.image.written[watched.clk] = delta_message(watched.image, delta)
                message = written
            else:
                continue
            watched.clk, watched.dirty, watched.told_at = watched.image.clk, {}, self._clock()
            return message
        return None


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it happens anew in that time."""
    event.clear()
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def image_message(image: Image) -> str:
    return json.dumps(
        {
            "op": "img",
            "ch": f"market:{image.market}",
            "clk": image.clk,
            "status": image.status,
            "version": image.version,
            "book": book_of(image.levels),
        }
    )


def delta_message(image: Image, delta: Delta) -> str:
    return json.dumps(
        {
            "op": "delta",
            "ch": f"market:{image.market}",
            "at": image.at,
            "prev": delta.prev,
            "clk": delta.clk,
            "book": book_of(delta.levels),
        }
    )


def status_message(image: Image) -> str:
    return json.dumps(
        {
            "op": "status",
            "ch": f"market:{image.market}",
            "clk": image.clk,
            "status": image.status,
            "version": image.version,
        }
    )
