"""Settling: computing who is paid, and hearing from the ledger that it was.

A closed market whose race is final (or scratched) is settled by whoever finds it first; a crash in between only
leaves it to be found again. The ledger pays in chunks, each under its own key, and the market is SETTLED or VOID
when the last of them is booked. A booking the ledger refuses means that the two books differ: the market stops.
"""

import logging
from uuid import UUID

from common.inbox import first_sight
from common.outbox import announce_all
from common.pg import Connection, Pool, retry_serialization, transaction
from contracts.ledger import EntryCommitted, PostRefused
from prometheus_client import Counter

from betting import bookings
from betting.chronicle import Chronicle
from betting.domain.ids import MarketId
from betting.domain.markets import Market, MarketStatus
from betting.domain.races import Declaration, RaceStatus
from betting.domain.settlement import Outcome, settle
from betting.service.calls import Clock, now_utc
from betting.store.exchange import ExchangeStore
from betting.store.programme import ProgrammeStore
from betting.store.settlements import Booked, SettlementStore

CONSUMER = "betting.ledger-events"
FIRST_VERSION = 1
VOID_REASON = "the race was not run"

_defects = Counter("betting_market_defects_total", "Markets suspended because the ledger and betting differ.")
log = logging.getLogger(__name__)


class Settling:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc) -> None:
        self._pool = pool
        self._clock = clock

    async def settle_due(self, *, limit: int = 32) -> None:
        """Settle markets whose race is decided. One market's trouble must not keep the others waiting."""
        async with transaction(self._pool, readonly=True) as conn:
            markets = await SettlementStore(conn).awaiting(limit)
        for market_id in markets:
            try:
                await self.settle(market_id)
            except Exception:
                log.exception("a market could not be settled", extra={"market": market_id})

    async def settle(self, market_id: MarketId) -> None:
        """Compute a closed market's settlement and ask the ledger to pay it. Does nothing to any other market.

        Raises DatabaseUnavailable if others kept getting in between.
        """

        async def attempt() -> None:
            async with transaction(self._pool, isolation="serializable") as conn:
                market = await ExchangeStore(conn).market_for_update(market_id)
                outcome = await _outcome(conn, market)
                if market.status is MarketStatus.CLOSED and outcome is not None:
                    await self._settle(conn, market, outcome)

        await retry_serialization(attempt)

    async def _settle(self, conn: Connection, market: Market, outcome: Outcome) -> None:
        store, currency = SettlementStore(conn), market.terms.currency
        positions = await store.positions(market.id, currency)
        settlement = settle(positions, outcome, commission_bps=market.terms.commission_bps)
        if settlement.total != market.escrow:
            await self._suspend(conn, market, "its bets do not add up to its escrow")
            return
        await store.add(market.id, FIRST_VERSION, settlement, currency, now=self._clock())
        if not settlement.chunks:
            await self._complete(conn, market, Booked(outcome, total=0, commission=0))
            return
        chronicle = Chronicle(market.moved(MarketStatus.SETTLING), self._clock())
        for chunk in settlement.chunks:
            chronicle.book(bookings.settle(market.id, FIRST_VERSION, settlement, chunk, currency))
        await _record(conn, chronicle)

    async def booked(self, event_id: UUID, entry: EntryCommitted) -> None:
        """The ledger booked a chunk. With the last one the market is SETTLED or VOID."""
        part = entry.settlement
        if part is None:
            return
        async with transaction(self._pool) as conn:
            if not await first_sight(conn, CONSUMER, event_id):
                return
            store = SettlementStore(conn)
            market = await ExchangeStore(conn).market_for_update(MarketId(part.market))
            now = self._clock()
            whole = await store.book_chunk(
                market.id, part.version, part.chunk, entry_sequence=entry.sequence, now=now
            )
            if whole and market.status is MarketStatus.SETTLING:
                booked = await store.book(market.id, part.version, market.terms.currency, now=now)
                await self._complete(conn, market, booked)

    async def refused(self, event_id: UUID, market_id: MarketId, refusal: PostRefused) -> None:
        """The ledger will never book something that has happened here."""
        reason = f"{refusal.kind} {refusal.idempotency_key}: {refusal.problem.slug}"
        async with transaction(self._pool) as conn:
            if not await first_sight(conn, CONSUMER, event_id):
                return
            market = await ExchangeStore(conn).market_for_update(market_id)
            await self._suspend(conn, market, reason)

    async def _complete(self, conn: Connection, market: Market, booked: Booked) -> None:
        void = booked.outcome is Outcome.VOID
        chronicle = Chronicle(
            market.moved(MarketStatus.VOID if void else MarketStatus.SETTLED), self._clock()
        )
        if void:
            chronicle.voided(VOID_REASON, booked.total)
        else:
            chronicle.settled(FIRST_VERSION, booked.outcome, booked.total, booked.commission)
        await _record(conn, chronicle)

    async def _suspend(self, conn: Connection, market: Market, reason: str) -> None:
        """Stop a market for a defect. A second one changes nothing: people are on their way."""
        _defects.inc()
        log.error("market suspended for a defect", extra={"market": market.id, "reason": reason})
        if market.status is MarketStatus.SUSPENDED:
            return
        chronicle = Chronicle(market.suspended(reason), self._clock())
        chronicle.suspended(reason)
        await _record(conn, chronicle)


async def _outcome(conn: Connection, market: Market) -> Outcome | None:
    """What the race's fate means for the market; None while it is undecided."""
    programme = ProgrammeStore(conn)
    race = await programme.race(market.terms.race_id)
    if race.status is RaceStatus.NO_CORRE:
        return Outcome.VOID
    if race.status is not RaceStatus.FINAL:
        return None
    result: Declaration = next(iter((await programme.declarations(race.id)).values()))
    side = None if result.winner is None else market.side_of(result.winner)
    return Outcome.PUSH if side is None else Outcome(side)


async def _record(conn: Connection, chronicle: Chronicle) -> None:
    await ExchangeStore(conn).save(chronicle.market, now=chronicle.now)
    await announce_all(conn, chronicle.announcements)
