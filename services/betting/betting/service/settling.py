"""Settling: computing who is paid, and hearing from the ledger that it was.

A closed market whose race is final (or that is void) is settled by whoever finds it first; a crash in between only
leaves it to be found again. The ledger pays in chunks, each under its own key, and the market is SETTLED or VOID
when the last of them is booked. When an official error is corrected, the next version recovers what was paid too much
before it pays what was paid too little. A booking the ledger refuses means that the two books differ: the market stops.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from common.inbox import first_sight
from common.outbox import announce_all
from common.pg import Connection, Pool, retry_serialization, transaction
from contracts.ledger import EntryCommitted, PostRefused, PostRequested
from prometheus_client import Counter, Gauge

from betting import bookings
from betting.chronicle import Chronicle
from betting.domain.ids import MarketId
from betting.domain.markets import Market, MarketStatus
from betting.domain.races import RaceStatus
from betting.domain.results import outcome_of
from betting.domain.settlement import (
    USERS_PER_CHUNK,
    ChunkKind,
    Outcome,
    Rates,
    Settlement,
    as_written,
    settle,
)
from betting.service.calls import Clock, now_utc
from betting.store.exchange import Change, ExchangeStore
from betting.store.programme import ProgrammeStore
from betting.store.results import ResultStore
from betting.store.settlements import Basis, Booked, SettlementStore
from betting.store.withholding import WithholdingStore

CONSUMER = "betting.ledger-events"
LATE = timedelta(seconds=2)
"""Bets matched less than this before the recorded off time, or after it, are void on both sides."""

_defects = Counter("betting_market_defects_total", "Markets suspended because the ledger and betting differ.")
_failing = Gauge(
    "betting_markets_failing", "Decided markets whose settlement could not be computed at the last look."
)
_unbooked = Gauge(
    "betting_settlement_unbooked_seconds",
    "How long the oldest settlement has waited for the ledger to book all of it.",
)
log = logging.getLogger(__name__)


class Settling:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc, users_per_chunk: int = USERS_PER_CHUNK) -> None:
        self._pool = pool
        self._clock = clock
        self._users_per_chunk = users_per_chunk

    async def settle_due(self, *, limit: int = 32) -> None:
        """Settle markets whose fate is decided. One market's trouble must not keep the others waiting."""
        async with transaction(self._pool, readonly=True) as conn:
            store = SettlementStore(conn)
            markets = await store.awaiting(limit)
            _unbooked.set((await store.unbooked_for(self._clock())).total_seconds())
        failing = 0
        for market_id in markets:
            try:
                await self.settle(market_id)
            except Exception:
                failing += 1
                log.exception("a market could not be settled", extra={"market": market_id})
        _failing.set(failing)

    async def settle(self, market_id: MarketId) -> None:
        """Compute a market's next settlement and ask the ledger to book it, if there is one to be made.

        Raises DatabaseUnavailable if others kept getting in between.
        """

        async def attempt() -> None:
            async with transaction(self._pool, isolation="serializable") as conn:
                market = await ExchangeStore(conn).market_for_update(market_id)
                basis = await _basis(conn, market)
                if basis is not None:
                    await self._settle(conn, market, basis)

        await retry_serialization(attempt)

    async def _settle(self, conn: Connection, market: Market, basis: Basis) -> None:
        store, currency, version = SettlementStore(conn), market.terms.currency, market.settlement + 1
        positions = await store.positions(market.id, basis.late_after, currency)
        before = await store.shares(market.id, market.settlement, currency) if market.settlement else None
        rates = Rates(market.terms.commission_bps, basis.withholding_bps)
        # In a thread: a market of fifty thousand bets must not keep everybody else's offers waiting.
        settlement = await asyncio.to_thread(
            settle, positions, basis.outcome, rates, before=before, users_per_chunk=self._users_per_chunk
        )
        if version == 1 and settlement.total != market.escrow:
            await self._stop(conn, market, "its bets do not add up to its escrow")
            return
        await store.add(market.id, version, settlement, basis, currency, now=self._clock())
        chronicle = Chronicle(market.settling(basis.result_version), self._clock())
        if version > 1:
            chronicle.resettling(basis.reason)
        number = 1 + await store.booked_before(market.id, version)
        for command in await asyncio.to_thread(_commands, market.id, number, settlement, basis.tax, currency):
            chronicle.book(command)
        await _record(conn, chronicle, basis.reason)
        if not settlement.chunks:
            nothing = Booked(basis.outcome, basis.reason, total=0, commission=0)
            await self._complete(conn, chronicle.market, nothing)

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
            kind = ChunkKind.RECOVER if entry.kind == bookings.RECOVERY else ChunkKind.PAY
            version = await store.version_booked_as(market.id, part.version)
            whole = await store.book_chunk(
                market.id, version, kind, part.chunk, entry_sequence=entry.sequence, now=now
            )
            if whole and market.status is MarketStatus.SETTLING and market.settlement == version:
                booked = await store.book(market.id, version, market.terms.currency, now=now)
                await self._complete(conn, market, booked)

    async def refused(self, event_id: UUID, market_id: MarketId, refusal: PostRefused) -> None:
        """The ledger will never book something that has happened here."""
        reason = f"{refusal.kind} {refusal.idempotency_key}: {refusal.problem.slug}"
        async with transaction(self._pool) as conn:
            if not await first_sight(conn, CONSUMER, event_id):
                return
            market = await ExchangeStore(conn).market_for_update(market_id)
            key = bookings.ChunkKey.parse(refusal.idempotency_key)
            if key is not None:
                store = SettlementStore(conn)
                version = await store.version_booked_as(market.id, key.number)
                await store.refuse_chunk(market.id, version, key.chunk, refusals=key.refusals + 1)
            await self._stop(conn, market, reason)

    async def go_on(self, conn: Connection, market: Market) -> None:
        """Go on with the settlement of a locked market that had been stopped: complete it if its chunks were booked
        meanwhile; if not, ask again for those that were refused, under new keys. The others are still on their way."""
        store, currency = SettlementStore(conn), market.terms.currency
        if await store.is_whole(market.id, market.settlement):
            booked = await store.book(market.id, market.settlement, currency, now=self._clock())
            await self._complete(conn, market, booked)
            return
        again = await store.refused_chunks(market.id, market.settlement)
        basis = await store.basis(market.id, market.settlement)
        before = await store.shares(market.id, market.settlement - 1, currency)
        shares = await store.written(market.id, market.settlement, currency)
        settlement = as_written(basis.outcome, shares, before)
        number = 1 + await store.booked_before(market.id, market.settlement)
        chronicle = Chronicle(market, self._clock())
        for chunk in settlement.chunks:
            if chunk.number in again:
                chronicle.book(
                    bookings.settle(
                        market.id,
                        number,
                        settlement,
                        chunk,
                        basis.tax,
                        currency,
                        refusals=again[chunk.number],
                    )
                )
        await announce_all(conn, chronicle.announcements)

    async def _complete(self, conn: Connection, market: Market, booked: Booked) -> None:
        void = booked.outcome is Outcome.VOID
        chronicle = Chronicle(
            market.moved(MarketStatus.VOID if void else MarketStatus.SETTLED), self._clock()
        )
        if void:
            chronicle.voided(booked.reason, booked.total)
        else:
            chronicle.settled(market.settlement, booked.outcome, booked.total, booked.commission)
        await _record(conn, chronicle, booked.reason)

    async def _stop(self, conn: Connection, market: Market, reason: str) -> None:
        """Stop a market for a defect. A second one changes nothing: people are on their way."""
        _defects.inc()
        log.error("market suspended for a defect", extra={"market": market.id, "reason": reason})
        if market.defect is not None:
            return
        chronicle = Chronicle(market.stopped(reason[:500]), self._clock())
        chronicle.suspended(reason)
        await _record(conn, chronicle, reason[:500])


async def _basis(conn: Connection, market: Market) -> Basis | None:
    """What the market is to be settled on now; None while there is nothing to settle."""
    race = await ProgrammeStore(conn).race(market.terms.race_id)
    if market.defect is not None:
        return None
    if market.void_reason is not None:
        if market.status is not MarketStatus.CLOSED:
            return None
        return Basis(Outcome.VOID, None, None, 0, race.result_version, market.void_reason)
    if race.status is not RaceStatus.FINAL:
        return None
    if market.status is MarketStatus.CLOSED:
        rate = await WithholdingStore(conn).rate_of_race(race.id)
        tax, bps = (rate.name, rate.bps) if rate is not None and rate.bps else (None, 0)
    elif (
        market.status in {MarketStatus.SETTLED, MarketStatus.VOID}
        and market.settled_result < race.result_version
    ):
        first = await SettlementStore(conn).basis(market.id, 1)
        tax, bps = first.tax, first.withholding_bps
    else:
        return None
    result = await ResultStore(conn).result(race.id, race.result_version)
    return Basis(
        outcome_of(market, result.declared),
        result.declared.off_time - LATE,
        tax,
        bps,
        race.result_version,
        result.reason[:500],
    )


def _commands(
    market: MarketId, number: int, settlement: Settlement, tax: str | None, currency: str
) -> Sequence[PostRequested]:
    return [bookings.settle(market, number, settlement, chunk, tax, currency) for chunk in settlement.chunks]


async def _record(conn: Connection, chronicle: Chronicle, why: str) -> None:
    await ExchangeStore(conn).save([Change(chronicle.market)], now=chronicle.now, actor=None, why=why)
    await announce_all(conn, chronicle.announcements)
