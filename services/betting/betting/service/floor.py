"""The floor: one serialization point per market.

Acts that come while a batch commits are the next batch. A batch locks the market's row, so that it is in order with
every other process and every other use case; happens in memory; and is written with a handful of statements, however
many acts it has. The book is kept between batches and believed only while the market's row still carries the sequence
number it was last seen with: everything that ever happens in a market moves that number.
"""

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
from betting.store.exchange import ExchangeStore, Waiting

FLOORS_KEPT = 512
EXPIRY = "offer-expiry"
"""The kind of deadline that ends an offer whose own time is over."""


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
    """An act that waits, and the context (the trace) it is asked in."""

    act: Act
    context: Context


Floor: TypeAlias = Batcher[Turn, Answer]


class Floors:
    """The floors of all markets, each opened when somebody first comes; the least recently used idle ones go."""

    def __init__(self, pool: Pool, *, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._floors: OrderedDict[MarketId, Floor] = OrderedDict()
        self._books: dict[MarketId, tuple[int, Book]] = {}

    async def do(self, market_id: MarketId, act: Act) -> Answer:
        """Let an act happen in a market, in its turn.

        Raises MarketNotFound, KeyTaken, Overloaded, DatabaseUnavailable, and what the act itself is refused with.
        """
        return await self._floor(market_id).submit(Turn(act, copy_context()))

    async def drained(self) -> None:
        for floor in list(self._floors.values()):
            await floor.drained()

    def _floor(self, market_id: MarketId) -> Floor:
        floor = self._floors.get(market_id)
        if floor is None:

            async def commit(turns: Sequence[Turn]) -> Sequence[Answer | Exception]:
                return await self._commit(market_id, turns)

            floor = self._floors[market_id] = Batcher("floor", commit)
            self._make_room()
        self._floors.move_to_end(market_id)
        return floor

    def _make_room(self) -> None:
        for market_id in list(self._floors)[: max(0, len(self._floors) - FLOORS_KEPT)]:
            if self._floors[market_id].is_idle:
                del self._floors[market_id]
                self._books.pop(market_id, None)

    async def _commit(self, market_id: MarketId, turns: Sequence[Turn]) -> Sequence[Answer | Exception]:
        acts = [turn.act for turn in turns]
        known = self._books.pop(market_id, None)  # back only if everything went well
        async with transaction(self._pool) as conn:
            store = ExchangeStore(conn)
            market = await store.market_for_update(market_id)
            currency = market.terms.currency
            wanted = [id for act in acts for id in act.offers]
            waiting = await store.waiting(wanted, currency) if wanted else {}
            taken = await _take_keys(conn, acts, waiting)
            if known is None or known[0] != market.sequence:
                known = (market.sequence, Book(await store.resting(market_id, currency)))
            session = Session(market, known[1], waiting, self._clock())
            results = [turn.context.run(_happen, turn.act, session, taken) for turn in turns]
            await write(conn, market, session)
        self._books[market_id] = (session.market.sequence, session.book)
        return results


async def _take_keys(
    conn: Connection, acts: Sequence[Act], waiting: Mapping[OfferId, Waiting]
) -> frozenset[tuple[str, str]]:
    """The keys that acts of this batch are the first to use. One that must wait leaves its key free."""
    calls = [act.call for act in acts if act.call is not None and _undecided(act, waiting) is None]
    if not calls:
        return frozenset()
    claims = [Claim(str(call.user_id), call.key, call.fingerprint) for call in calls]
    return frozenset(await claim_all(conn, claims))


def _undecided(act: Act, waiting: Mapping[OfferId, Waiting]) -> Offer | None:
    """An offer the act is about whose hold has not been answered yet."""
    found = (waiting[id].offer for id in act.offers if id in waiting)
    return next((offer for offer in found if offer.status is OfferStatus.PENDING), None)


def _happen(act: Act, session: Session, taken: frozenset[tuple[str, str]]) -> Answer | Exception:
    call = act.call
    if call is None:
        try:
            return act.happen(session)
        except DomainError as refusal:
            return refusal
    undecided = _undecided(act, session.waiting)
    if undecided is not None:
        return pending(undecided)
    if (str(call.user_id), call.key) not in taken or _answered(session, call):
        return KeyTaken(call)
    try:
        answer = act.happen(session)
    except DomainError as refusal:
        answer = Answer.refusing(refusal)
    session.answers.append(Stored(str(call.user_id), call.key, answer))
    return answer


def _answered(session: Session, call: Call) -> bool:
    """Whether an earlier act of the batch used the same key."""
    return any((each.principal, each.key) == (str(call.user_id), call.key) for each in session.answers)


async def session_in(conn: Connection, market: Market, now: datetime) -> Session:
    """A session of a market whose row is locked, for what happens beside the floor: the gate, a suspension, a
    deadline. The floor notices by the market's sequence number."""
    return Session(market, Book(await ExchangeStore(conn).resting(market.id, market.terms.currency)), {}, now)


async def write(
    conn: Connection,
    before: Market,
    session: Session,
    *,
    actor: UserId | None = None,
    why: str = "traded",
    closed_at: datetime | None = None,
) -> Market:
    """Write everything that came of a session; `actor` and `why` are of the market's own move, if it moved."""
    session.close_levels()
    chronicle = session.chronicle
    if chronicle.market != before or session.moved:
        await ExchangeStore(conn).save(
            chronicle.market,
            now=chronicle.now,
            actor=actor,
            why=why,
            offers=session.moved,
            fills=session.fills,
            levels=session.levels,
            closed_at=closed_at,
        )
    if chronicle.announcements:
        await announce_all(conn, chronicle.announcements)
    for offer in session.expiring:
        expires_at = offer.slip.options.expires_at
        if expires_at is not None:
            await arm(conn, expiry_subject(offer.id), EXPIRY, expires_at)
    if session.answers:
        await finish_all(conn, [(each.principal, each.key, each.answer) for each in session.answers])
    return chronicle.market
