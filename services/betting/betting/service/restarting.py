"""Restarting: a market that was stopped for a defect goes on when its books agree again and two officials sign.

Nobody's word counts for the books: they are compared with the ledger's each time that somebody signs, and the signature
counts only if nothing has happened in the market since. Then it goes on where it was; what happened to its race
meanwhile happens to it now.
"""

from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import islice

from common.idempotency import Answer
from common.money import Money
from common.outbox import announce_all
from common.pg import Connection, Pool, transaction

from betting.chronicle import Chronicle
from betting.domain.agreement import differences
from betting.domain.errors import BooksDiffer
from betting.domain.ids import MarketId, UserId
from betting.domain.markets import Market, MarketStatus
from betting.domain.offers import Ending
from betting.domain.races import Race, RaceStatus
from betting.ledger import MarketBooks
from betting.service.calls import Call, Clock, Show, now_utc, once_in
from betting.service.gates import close_market
from betting.service.settling import Settling
from betting.service.suspending import Suspending
from betting.store.exchange import Change, ExchangeStore
from betting.store.programme import ProgrammeStore
from betting.store.registry import RegistryStore
from betting.store.restarts import RestartStore
from betting.store.results import ResultStore

MOST_COMPARISONS = 3
MOST_NAMED = 10
"""Differences that are named; there may be as many as offers."""


class _Overtaken(Exception):
    """Something happened in the market after its books were compared."""


class Restarting:
    def __init__(
        self,
        pool: Pool,
        books: MarketBooks,
        settling: Settling,
        suspending: Suspending,
        *,
        clock: Clock = now_utc,
    ) -> None:
        self._pool = pool
        self._books = books
        self._settling = settling
        self._suspending = suspending
        self._clock = clock

    async def sign(self, call: Call, market_id: MarketId, reason: str, show: Show[Market]) -> Answer:
        """Sign that a stopped market may go on. The second official's signature makes it.

        Raises MarketNotFound, BooksDiffer, OfficialHasBet, OfficialConnected, Unreachable (the ledger); MarketStateConflict
        and AlreadySigned are stored answers.
        """
        for _ in range(MOST_COMPARISONS):
            seen = await self._compared(market_id)
            with suppress(_Overtaken):
                answer = await once_in(
                    self._pool, call, partial(self._sign, call=call, seen=seen, reason=reason, show=show)
                )
                await self._suspending.keep_step()
                return answer
        raise BooksDiffer("something happens in the market all the time; try again")

    async def _compared(self, market_id: MarketId) -> Market:
        """The market as it was when its books were compared. One that is not stopped needs no comparing."""
        async with transaction(self._pool, isolation="repeatable_read", readonly=True) as conn:
            market = await ExchangeStore(conn).market(market_id)
            if market.defect is None:
                return market
            own = await RestartStore(conn).own_books(market)
        currency = market.terms.currency
        ledger = await self._books.of(market_id, currency)
        found = differences(own, ledger, lambda amount: str(Money.from_minor(amount, currency)))
        named = "; ".join(islice(found, MOST_NAMED))
        if named:
            raise BooksDiffer(named)
        return market

    async def _sign(
        self, conn: Connection, *, call: Call, seen: Market, reason: str, show: Show[Market]
    ) -> Answer:
        race = await ProgrammeStore(conn).race_for_update(seen.terms.race_id)
        market = await ExchangeStore(conn).market_for_update(seen.id)
        market.restarted()  # or it is not stopped
        if market != seen:
            raise _Overtaken
        await ResultStore(conn).check_impartial(race.id, call.user_id)
        signed = await RestartStore(conn).sign(market.id, market.version, call.user_id, reason, self._clock())
        await RegistryStore(conn).appoint(race.event_id, call.user_id, call.user_id)
        if len(signed) < 2:
            return show(market)
        return show(await self._restart(conn, race, market, (signed[0], call.user_id), reason))

    async def _restart(
        self, conn: Connection, race: Race, market: Market, officials: tuple[UserId, UserId], reason: str
    ) -> Market:
        now = self._clock()
        chronicle = Chronicle(market.restarted(), now)
        chronicle.restarted(officials, reason)
        market = chronicle.market
        await ExchangeStore(conn).save([Change(market)], now=now, actor=officials[1], why=reason)
        await announce_all(conn, chronicle.announcements)
        if market.status is MarketStatus.SETTLING:
            await self._settling.go_on(conn, market)
        elif market.status is MarketStatus.SUSPENDED and not _still_takes_offers(market, race, now):
            ending = Ending.MARKET_CLOSED if market.void_reason is None else Ending.RACE_SCRATCHED
            return await close_market(conn, market, ending, now, actor=None, why="its race went on meanwhile")
        return market


def _still_takes_offers(market: Market, race: Race, now: datetime) -> bool:
    """Whether a market that had not closed when it was stopped is in time still."""
    closes_at = market.terms.closes_at
    return (
        market.void_reason is None
        and race.status in {RaceStatus.SCHEDULED, RaceStatus.POSTPONED}
        and (closes_at is None or now < closes_at)
    )
