"""The floor: everything that happens to offers, each market's in one order.

Acts that come while a batch commits are the next batch, whatever markets they are in: one transaction for all of them. It
locks the row of every market it touches, so that each is in order with every other process and every other use case;
happens in memory; and is written with a handful of statements, however many acts and markets it has. Nobody waits for a
stranger's lock: a market that somebody else has locked just now is left out, and its acts wait on a floor of their own.

A book is kept between batches and believed only while its market's row still carries the sequence number it was last seen
with: everything that ever happens in a market moves that number.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from common.deadlines import arm
from common.errors import DomainError
from common.idempotency import Answer, Claim, claim_all, finish_all
from common.outbox import announce_all
from common.pg import Connection, Pool, transaction

from betting.domain.book import Book
from betting.domain.ids import MarketId, OfferId, UserId
from betting.domain.markets import Market
from betting.domain.offers import Offer, OfferStatus
from betting.ledger import pending
from betting.service.batching import Batcher
from betting.service.calls import Call, Clock
from betting.service.session import Session, Stored
from betting.store.exchange import Change, ExchangeStore, Waiting

BOOKS_KEPT = 512
"""Of the markets that something happened in last."""
EXPIRY = "offer-expiry"
"""The kind of deadline that ends an offer whose own time is over."""
TRADED = "traded"


def expiry_subject(offer: OfferId) -> str:
    return f"offers/{offer}"


class Act(Protocol):
    """Something somebody does in a market.

    `offers` are the offers it is about. `call` is there if the key is taken by the act itself; then its answer is
    stored, refusals included.
    """

    @property
    def offers(self) -> Sequence[OfferId]: ...

    @property
    def call(self) -> Call | None: ...

    def happen(self, session: Session) -> Answer:
        """Raises a DomainError, before it changes anything."""


@dataclass(frozen=True, slots=True)
class KeyTaken(Exception):
    """The act's key has been used: its answer is stored, or it is somebody else's business."""

    call: Call


@dataclass(frozen=True, slots=True)
class Turn:
    """An act that waits, the market it is to happen in, and the context (the trace) it is asked in."""

    market_id: MarketId
    act: Act
    context: Context


class _Locked(Exception):
    """Somebody else has the market just now, or there is no such market: whoever waits for its row will know."""


Floor: TypeAlias = Batcher[Turn, Answer]
Key: TypeAlias = tuple[str, str]


class Floors:
    """The floors of all markets: one for what is free, and one aside for each market that is not."""

    def __init__(self, pool: Pool, *, clock: Clock, turn: asyncio.Lock | None = None) -> None:
        """`turn` is shared with the desk. Whoever waits aside, for a stranger's lock, does not take it."""
        self._pool = pool
        self._clock = clock
        self._together: Floor = Batcher("floor", self._commit, turn=turn)
        self._aside: dict[MarketId, Floor] = {}
        self._books: OrderedDict[MarketId, tuple[int, Book]] = OrderedDict()

    async def do(self, market_id: MarketId, act: Act) -> Answer:
        """Let an act happen in a market, in its turn.

        Raises MarketNotFound, KeyTaken, Overloaded, DatabaseUnavailable, and what the act itself is refused with.
        """
        turn = Turn(market_id, act, copy_context())
        if market_id not in self._aside:
            try:
                return await self._together.submit(turn)
            except _Locked:
                pass
        return await self._wait_aside(turn)

    async def drained(self) -> None:
        for floor in (self._together, *self._aside.values()):
            await floor.drained()

    async def _wait_aside(self, turn: Turn) -> Answer:
        floor = self._aside.get(turn.market_id)
        if floor is None:
            floor = self._aside[turn.market_id] = Batcher("floor aside", self._commit_one)
        try:
            return await floor.submit(turn)
        finally:
            if floor.is_idle and self._aside.get(turn.market_id) is floor:
                del self._aside[turn.market_id]

    async def _commit(self, turns: Sequence[Turn]) -> Sequence[Answer | Exception]:
        """What happens in every market that is free."""
        wanted = {turn.market_id for turn in turns}
        async with transaction(self._pool) as conn:
            free = {market.id: market for market in await ExchangeStore(conn).free_for_update(list(wanted))}
            here = [turn for turn in turns if turn.market_id in free]
            done = await self._happen_in(conn, list(free.values()), here) if here else _Done([], ())
        self._keep(done)
        answers = iter(done.results)
        return [next(answers) if turn.market_id in free else _Locked() for turn in turns]

    async def _commit_one(self, turns: Sequence[Turn]) -> Sequence[Answer | Exception]:
        """What happens in one market, once its row is free."""
        async with transaction(self._pool) as conn:
            market = await ExchangeStore(conn).market_for_update(turns[0].market_id)
            done = await self._happen_in(conn, [market], turns)
        self._keep(done)
        return done.results

    async def _happen_in(self, conn: Connection, markets: Sequence[Market], turns: Sequence[Turn]) -> "_Done":
        """What comes of the turns, in their order, in locked markets."""
        store = ExchangeStore(conn)
        acts = [turn.act for turn in turns]
        ids = [id for act in acts for id in act.offers]
        waiting = await store.waiting(ids) if ids else {}
        taken = await _take_keys(conn, acts, waiting)
        books, now = await self._books_of(store, markets), self._clock()
        sessions = {
            market.id: Session(market, books[market.id], _of_market(market.id, waiting), now)
            for market in markets
        }
        results = [turn.context.run(_happen, turn.act, sessions[turn.market_id], taken) for turn in turns]
        await write_all(conn, [(market, sessions[market.id]) for market in markets])
        return _Done(results, tuple(sessions.values()))

    async def _books_of(self, store: ExchangeStore, markets: Sequence[Market]) -> dict[MarketId, Book]:
        """Each market's book. What is kept of them is taken away: it comes back only if everything goes well."""
        books: dict[MarketId, Book] = {}
        for market in markets:
            sequence, book = self._books.pop(market.id, (-1, None))
            if book is not None and sequence == market.sequence:
                books[market.id] = book
        unknown = [market for market in markets if market.id not in books]
        if unknown:
            resting = await store.resting(unknown)
            books |= {market.id: Book(resting[market.id]) for market in unknown}
        return books

    def _keep(self, done: "_Done") -> None:
        """Remember the books that a transaction left behind, the latest used last."""
        for session in done.sessions:
            self._books[session.market.id] = (session.market.sequence, session.book)
        while len(self._books) > BOOKS_KEPT:
            self._books.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of a batch."""

    results: Sequence[Answer | Exception]
    sessions: Sequence[Session]


def _of_market(market_id: MarketId, waiting: Mapping[OfferId, Waiting]) -> dict[OfferId, Waiting]:
    return {id: each for id, each in waiting.items() if each.offer.market_id == market_id}


async def _take_keys(conn: Connection, acts: Sequence[Act], waiting: Mapping[OfferId, Waiting]) -> set[Key]:
    """The keys that acts of this batch are the first to use. One that must wait leaves its key free."""
    calls = [act.call for act in acts if act.call is not None and _undecided(act, waiting) is None]
    if not calls:
        return set()
    return await claim_all(conn, [Claim(str(call.user_id), call.key, call.fingerprint) for call in calls])


def _undecided(act: Act, waiting: Mapping[OfferId, Waiting]) -> Offer | None:
    """An offer the act is about whose hold has not been answered yet."""
    found = (waiting[id].offer for id in act.offers if id in waiting)
    return next((offer for offer in found if offer.status is OfferStatus.PENDING), None)


def _happen(act: Act, session: Session, taken: set[Key]) -> Answer | Exception:
    """Let one act happen. The key it takes is no longer there for another, in whatever market."""
    call = act.call
    if call is None:
        try:
            return act.happen(session)
        except DomainError as refusal:
            return refusal
    undecided = _undecided(act, session.waiting)
    if undecided is not None:
        return pending(undecided)
    key = (str(call.user_id), call.key)
    if key not in taken:
        return KeyTaken(call)
    taken.remove(key)
    try:
        answer = act.happen(session)
    except DomainError as refusal:
        answer = Answer.refusing(refusal)
    session.answers.append(Stored(*key, answer))
    return answer


async def session_in(conn: Connection, market: Market, now: datetime) -> Session:
    """A session of a market whose row is locked, for what happens beside the floor: the gate, a suspension, a
    deadline. The floor notices by the market's sequence number."""
    resting = await ExchangeStore(conn).resting([market])
    return Session(market, Book(resting[market.id]), {}, now)


async def write(
    conn: Connection,
    before: Market,
    session: Session,
    *,
    actor: UserId | None = None,
    why: str = TRADED,
    closed_at: datetime | None = None,
) -> Market:
    """Write everything that came of a session; `actor` and `why` are of the market's own move, if it moved."""
    await write_all(conn, [(before, session)], actor=actor, why=why, closed_at=closed_at)
    return session.market


async def write_all(
    conn: Connection,
    sessions: Sequence[tuple[Market, Session]],
    *,
    actor: UserId | None = None,
    why: str = TRADED,
    closed_at: datetime | None = None,
) -> None:
    """Write everything that came of sessions of one moment, each with its market as it was before."""
    for _, session in sessions:
        session.close_levels()
    changes = [
        Change(session.market, session.moved, session.fills, session.levels)
        for before, session in sessions
        if session.market != before or session.moved
    ]
    if changes:
        now = sessions[0][1].chronicle.now
        await ExchangeStore(conn).save(changes, now=now, actor=actor, why=why, closed_at=closed_at)
    told = [each for _, session in sessions for each in session.chronicle.announcements]
    if told:
        await announce_all(conn, told)
    for offer in (offer for _, session in sessions for offer in session.expiring):
        expires_at = offer.slip.options.expires_at
        if expires_at is not None:
            await arm(conn, expiry_subject(offer.id), EXPIRY, expires_at)
    answers = [(each.principal, each.key, each.answer) for _, session in sessions for each in session.answers]
    if answers:
        await finish_all(conn, answers)
