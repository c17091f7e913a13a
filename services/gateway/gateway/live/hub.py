"""The hub: every committed event in, everybody who watches told.

A market's events arrive in its order, at least once. One that was heard before is skipped; a gap (the queue dropped
something, or was made anew) makes the image be read again from betting. Whoever watches is told the difference, as a
delta like any other: amounts are absolute, so it does not matter how many changes it stands for.

Images are read beside, so many at a time: while betting does not answer about one market, everybody is told what there is
to tell of the others and of their own. Until an image is read nothing is told of its book that does not follow.
"""

import asyncio
import json
import logging
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

from common.errors import TooMany, Unauthenticated, Unavailable
from contracts import betting
from contracts.envelope import Envelope
from contracts.ledger import EntryCommitted, Side
from prometheus_client import Gauge

from gateway.live.images import Image, LevelKey
from gateway.live.watchers import Watcher, status_message

Fetch: TypeAlias = Callable[[str], Awaitable[Image]]
"""Reads a market's image from betting, as one of those who watch it. Raises a DomainError."""

MOVES: Final = frozenset(
    event.type
    for event in (
        betting.MarketOpened, betting.MarketSuspended, betting.MarketResumed, betting.MarketRestarted,
        betting.MarketClosed, betting.MarketResettling, betting.MarketSettled, betting.MarketVoided,
    )
)  # fmt: skip
"""The market stands elsewhere: read it again."""
ENTRY: Final = "ledger.entry.committed.v1"
PLAYERS: Final = "players/"
MARKETS: Final = "markets/"
MOST_OF_A_PERSON: Final = 64
MOST_CLIENTS: Final = 10_000
"""Connections that last. Requests are bounded where they come in, but these would stay and take what requests need."""
MISSED: Final = json.dumps({"op": "missed", "ch": "me"})
MOST_READINGS: Final = 5
MOST_READINGS_AT_ONCE: Final = 16
PLACE_SECONDS: Final = 5.0
"""A reading waits so long for a place; then it is told that it cannot be done now."""
MOST_ASKED: Final = 8
"""So many of those who watch a market are asked to read it, if the sessions of some have ended."""
_IDS: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_watching = Gauge("gateway_live_clients", "Clients that watch.")
log = logging.getLogger(__name__)


class TooManyClients(TooMany):
    """The person, or everybody together, watches by more connections than there may be."""

    slug = "too-many-live-connections"
    title = "Too many live connections"


class Hub:
    """Everything this replica's clients watch. `reread` is asked for an image when one cannot be believed any more."""

    def __init__(self) -> None:
        self._images: dict[str, Image] = {}
        self._watchers: dict[str, dict[Watcher, Fetch]] = {}
        self._mine: dict[str, set[Watcher]] = defaultdict(set)
        self._clients: Counter[str] = Counter()
        self._reading: dict[str, asyncio.Task[Image]] = {}
        self._ahead: dict[str, int] = {}
        self._doubtful: set[str] = set()
        self._stale: set[str] = set()
        self._places = asyncio.Semaphore(MOST_READINGS_AT_ONCE)

    # -- clients

    async def watch(self, watcher: Watcher, market: str, clk: int | None, fetch: Fetch) -> None:
        """Watch a market from `clk` on. Raises what `fetch` raises."""
        watchers = self._watchers.setdefault(market, {})
        watchers.pop(watcher, None)
        watchers[watcher] = fetch  # before it is read: only what somebody watches is kept
        try:
            image = self._images.get(market) or await self._read(market)
        except BaseException:
            if market not in watcher.markets:
                self._unwatch(watcher, market)
            raise
        watcher.watch(self._images.get(market, image), clk)

    def hear(self, watcher: Watcher) -> None:
        """Tell the watcher of what concerns its own person."""
        watcher.hears_me = True
        self._mine[watcher.subject].add(watcher)

    def joined(self, watcher: Watcher) -> None:
        """Take a client in. Raises TooManyClients; nothing is to be forgotten of it then."""
        if self._clients[watcher.subject] >= MOST_OF_A_PERSON or self._clients.total() >= MOST_CLIENTS:
            raise TooManyClients("Close one, or try again later.", retry_after=30)
        self._clients[watcher.subject] += 1
        _watching.set(self._clients.total())

    def left(self, watcher: Watcher) -> None:
        """Forget a client, and what nobody watches any more."""
        self._clients[watcher.subject] -= 1
        if not self._clients[watcher.subject]:
            del self._clients[watcher.subject]
        _watching.set(self._clients.total())
        for market in watcher.markets:
            self._unwatch(watcher, market)
        self._mine[watcher.subject].discard(watcher)
        if not self._mine[watcher.subject]:
            del self._mine[watcher.subject]

    def _unwatch(self, watcher: Watcher, market: str) -> None:
        """With the last one who watches it an image goes: it is not kept true any more."""
        watchers = self._watchers.get(market, {})
        watchers.pop(watcher, None)
        if not watchers:
            self._watchers.pop(market, None)
            self._images.pop(market, None)
            self._stale.discard(market)

    # -- events

    async def forget(self) -> None:
        """Something may have been missed: read every image again and tell everybody the difference; and what was their own
        and cannot be told again, that it is to be asked for."""
        for watcher in [each for listeners in self._mine.values() for each in listeners]:
            watcher.tell(MISSED)
        self._doubtful.update(self._reading)
        for market in list(self._images):
            self._renew(market)

    async def mend(self) -> None:
        """Try again to read the images that could not be read when they were needed."""
        for market in list(self._stale):
            self._renew(market)

    async def close(self) -> None:
        """Nobody is told anything any more."""
        readings = list(self._reading.values())
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)

    def concerns(self, body: bytes) -> bool:
        """Whether an event in its wire form may be of interest here, told without reading it: it names a market that is
        watched, or a person who is. Most events of a race day name nobody who watches this replica."""
        return any(
            found in self._images or found in self._ahead or found in self._mine
            for found in map(bytes.decode, _IDS.findall(body))
        )

    async def take(self, envelope: Envelope) -> None:
        """Take one event in, in the order it came."""
        if envelope.partitionkey.startswith(MARKETS) and envelope.type != ENTRY:
            await self._take_market(envelope, envelope.partitionkey.removeprefix(MARKETS))
        for subject, message in own_messages(envelope):
            for watcher in self._mine.get(subject, ()):
                watcher.tell(message)

    async def _take_market(self, envelope: Envelope, market: str) -> None:
        if market in self._ahead:  # it is being read just now, perhaps as it was before this
            self._ahead[market] = max(self._ahead[market], envelope.sequence)
        image = self._images.get(market)
        if image is None or envelope.sequence <= image.seen:
            return
        if not image.follows(envelope.sequence) or envelope.type in MOVES:
            self._renew(market)  # if that fails, the next event shows a gap
            return
        image.seen = envelope.sequence
        if envelope.type == betting.BookChanged.type:
            change = betting.BookChanged.model_validate(envelope.data)
            delta = image.changed(
                envelope.sequence, change.market_version, levels_of(change), envelope.time.isoformat()
            )
            for watcher in self._watchers[market]:
                watcher.changed(market, delta)

    def _renew(self, market: str) -> None:
        """Have the image read again; its watchers are told when it is."""
        if market not in self._reading:
            self._reading_of(market).add_done_callback(partial(self._renewed, market))

    def _renewed(self, market: str, reading: asyncio.Task[Image]) -> None:
        if reading.cancelled() or reading.exception() is None or market not in self._images:
            return
        self._stale.add(market)  # the old one stays, so that the next event shows the same gap
        log.error(
            "a market's image could not be read; its watchers wait",
            extra={"market": market},
            exc_info=reading.exception(),
        )

    async def _read(self, market: str) -> Image:
        return await asyncio.shield(self._reading_of(market))

    def _reading_of(self, market: str) -> asyncio.Task[Image]:
        """One reading for all who ask at once."""
        reading = self._reading.get(market)
        if reading is None:
            reading = self._reading[market] = asyncio.create_task(self._read_on(market))
        return reading

    async def _read_on(self, market: str) -> Image:
        """Read until nothing that was heard meanwhile is missing: an event may overtake the answer."""
        self._ahead[market] = 0
        try:
            image = await self._fetched(market)
            for _ in range(MOST_READINGS):
                if self._ahead[market] <= image.seen and market not in self._doubtful:
                    break
                self._doubtful.discard(market)
                image = await self._fetched(market)
            behind = self._ahead[market] > image.seen or market in self._doubtful
        finally:
            del self._ahead[market], self._reading[market]
            self._doubtful.discard(market)
        if market in self._watchers:
            self._keep(image)
            if behind:
                self._stale.add(market)
        return image

    def _keep(self, image: Image) -> None:
        """Keep an image, and tell its watchers how it stands and what of the book has changed since the last one."""
        before = self._images.get(image.market)
        if before is not None and image.seen < before.seen:
            self._stale.add(image.market)  # what was read is older than what was heard meanwhile
            return
        self._images[image.market] = image
        self._stale.discard(image.market)
        if before is None:
            return
        delta = image.succeed(before)
        for watcher in self._watchers[image.market]:
            if image.market in watcher.markets:
                watcher.tell(status_message(image))
                watcher.renewed(image, delta)

    async def _fetched(self, market: str) -> Image:
        """As whoever came last and has a session still; who has none is let go elsewhere, and not a reason that the others
        are told nothing."""
        refused: Unauthenticated | None = None
        asked: set[Watcher] = set()
        while len(asked) < MOST_ASKED:
            latest = next(
                (each for each in reversed(self._watchers.get(market, {}).items()) if each[0] not in asked),
                None,
            )
            if latest is None:
                break
            watcher, fetch = latest
            asked.add(watcher)
            try:
                async with self._place():
                    return await fetch(market)
            except Unauthenticated as error:
                refused = error
        raise refused or Unavailable("nobody watches it any more")

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Raises Unavailable if the readings under way take too long."""
        try:
            async with asyncio.timeout(PLACE_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise Unavailable("Try again.", retry_after=1) from None
        try:
            yield
        finally:
            self._places.release()


def levels_of(change: betting.BookChanged) -> dict[LevelKey, str]:
    return {
        (str(level.runner_id), level.ratio.risk, level.ratio.win): level.amount for level in change.levels
    }


def own_messages(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """What an event says to the people it concerns: to each only the own side of it."""
    if envelope.type == ENTRY:
        yield from _balances(envelope)
    elif envelope.type == betting.OfferMatched.type:
        bet = betting.OfferMatched.model_validate(envelope.data)
        for own in (bet.maker, bet.taker):
            yield str(own.bettor_id), _own(
                envelope,
                market=str(bet.market_id), fill=str(bet.fill_id), offer=str(own.offer_id), risked=own.risked,
                remaining=own.remaining, pot=bet.pot, currency=bet.currency,
            )  # fmt: skip
    elif envelope.type.startswith("betting.offer."):
        told = {name: value for name, value in envelope.data.items() if name != "bettor_id"}
        yield str(envelope.data["bettor_id"]), _own(envelope, **told)


def _balances(envelope: Envelope) -> Iterator[tuple[str, str]]:
    entry = EntryCommitted.model_validate(envelope.data)
    for leg in entry.postings:
        if leg.account.startswith(PLAYERS):
            player, _, account = leg.account.removeprefix(PLAYERS).partition("/")
            moved = leg.amount if leg.side is Side.CREDIT else f"-{leg.amount}"
            yield player, _own(
                envelope, account=account, kind=entry.kind, moved=moved, balance=leg.balance, currency=leg.currency,
                account_sequence=leg.account_sequence,
            )  # fmt: skip


def _own(envelope: Envelope, **told: object) -> str:
    return json.dumps({"op": "me", "event": envelope.type, "time": envelope.time.isoformat(), **told})
