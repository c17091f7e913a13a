"""Suspensions: everything, an event, a market or a person, each with who, why and when.

A suspension of a market is a state of the market, so it is in order with every offer by the market's lock. One of an
event or of everything is first written down, then every market it reaches is stopped; what a crash leaves undone the
sweeper finishes (`keep_step`), and lifting is the same the other way round.
"""

import logging
from uuid import UUID, uuid4

from common.idempotency import Answer
from common.outbox import announce_all
from common.pg import Connection, Pool, transaction

from betting.chronicle import Chronicle
from betting.domain.errors import MarketStateConflict
from betting.domain.ids import EventId, MarketId, SuspensionId, UserId
from betting.domain.markets import Market, MarketStatus
from betting.domain.offers import Ending, Offer, OfferStatus
from betting.service.barring import end_forbidden
from betting.service.calls import Call, Clock, NewId, Show, now_utc, once_in
from betting.service.floor import session_in, write
from betting.store.exchange import Change, ExchangeStore
from betting.store.programme import ProgrammeStore
from betting.store.suspensions import Scope, Suspension, SuspensionStore

log = logging.getLogger(__name__)


class Suspending:
    def __init__(self, pool: Pool, *, clock: Clock = now_utc, new_id: NewId = uuid4) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id

    async def impose(
        self, call: Call, scope: Scope, subject: UUID | None, reason: str, show: Show[Suspension]
    ) -> Answer:
        """Suspend. When this returns, nothing is placed or matched there any more.

        Raises EventNotFound, MarketNotFound; BettingSuspended (it is already) and MarketStateConflict are stored
        answers.
        """

        async def work(conn: Connection) -> Answer:
            suspension = Suspension(
                SuspensionId(self._new_id()), scope, subject, reason, call.user_id, self._clock()
            )
            store = SuspensionStore(conn)
            if scope is Scope.MARKET and subject is not None:
                market = await ExchangeStore(conn).market_for_update(MarketId(subject))
                await store.impose(suspension)
                if market.status is not MarketStatus.SUSPENDED:
                    await self._suspend(conn, market, suspension)
            else:
                if scope is Scope.EVENT and subject is not None:
                    # A market that is just being opened there has the event's row: it is seen by `keep_step`.
                    await ProgrammeStore(conn).event_for_update(EventId(subject))
                await store.impose(suspension)
            return show(suspension)

        answer = await once_in(self._pool, call, work)
        if scope is Scope.USER and subject is not None:
            await self._end_offers(UserId(subject), Ending.BETTOR_SUSPENDED)
        await self.keep_step()
        return answer

    async def lift(self, call: Call, id: SuspensionId, reason: str, show: Show[Suspension]) -> Answer:
        """Lift a suspension. Markets open again unless another suspension stops them. Raises SuspensionNotFound."""

        async def work(conn: Connection) -> Answer:
            return show(await SuspensionStore(conn).lift(id, call.user_id, reason, self._clock()))

        answer = await once_in(self._pool, call, work)
        await self.keep_step()
        return answer

    async def keep_step(self, *, limit: int = 1_000) -> int:
        """Bring markets and offers in step with the suspensions in force. How many were not."""
        async with transaction(self._pool, readonly=True) as conn:
            store = SuspensionStore(conn)
            markets, users = await store.out_of_step(limit), await store.barred_with_offers(limit)
            forbidden = await ExchangeStore(conn).markets_with_forbidden(limit)
        for market_id in markets:
            async with transaction(self._pool) as conn:
                await self._bring_in_step(conn, market_id)
        for user, why in users.items():
            await self._end_offers(user, why)
        for market_id in forbidden:
            async with transaction(self._pool) as conn:
                market = await ExchangeStore(conn).market_for_update(market_id)
                await end_forbidden(conn, [market], self._clock())
        return len(markets) + len(users) + len(forbidden)

    async def _bring_in_step(self, conn: Connection, market_id: MarketId) -> None:
        market = await ExchangeStore(conn).market_for_update(market_id)
        stopping = await SuspensionStore(conn).stopping(market_id)
        if market.defect is not None:
            return
        if market.status is MarketStatus.OPEN and stopping is not None:
            await self._suspend(conn, market, stopping)
        elif market.status is MarketStatus.SUSPENDED and stopping is None:
            resumed = market.resumed()
            chronicle = Chronicle(resumed, self._clock())
            chronicle.resumed("the suspension was lifted")
            await ExchangeStore(conn).save(
                [Change(chronicle.market)], now=chronicle.now, actor=None, why="the suspension was lifted"
            )
            await announce_all(conn, chronicle.announcements)

    async def _suspend(self, conn: Connection, market: Market, by: Suspension) -> None:
        """Stop a locked market. Raises MarketStateConflict unless it is open."""
        if market.status is not MarketStatus.OPEN:
            raise MarketStateConflict(f"the market is {market.status}")
        chronicle = Chronicle(market.suspended(by.id), self._clock())
        chronicle.suspended(by.reason)
        await ExchangeStore(conn).save(
            [Change(chronicle.market)], now=chronicle.now, actor=by.imposed_by, why=by.reason
        )
        await announce_all(conn, chronicle.announcements)

    async def _end_offers(self, user: UserId, why: Ending) -> None:
        """Everything that somebody who may not bet has resting goes back; what is matched stands.

        Where an offer of theirs is on its way the market's turn is waited for as well: whoever looked at them before
        they were barred is done then.
        """

        def theirs(offer: Offer) -> bool:
            return offer.user_id == user

        async with transaction(self._pool, readonly=True) as conn:
            markets = await ExchangeStore(conn).markets_with_offers_of(user)
        for market_id in markets:
            async with transaction(self._pool) as conn:
                market = await ExchangeStore(conn).market_for_update(market_id)
                session = await session_in(conn, market, self._clock())
                session.end_all(theirs, OfferStatus.CANCELLED, why, actor=None)
                await write(conn, market, session)
