"""What bettors do to their resting offers: take one back, take all back, decline a challenge; and what time does."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from common.deadlines import Deadline, Handler
from common.idempotency import Answer, claim, stored_answer
from common.pg import Connection, Pool, transaction

from betting.domain.errors import ChallengeNotFound
from betting.domain.ids import MarketId, OfferId
from betting.domain.markets import Market
from betting.domain.offers import RESTING, Ending, Offer, OfferStatus
from betting.service.calls import Call, Clock, Show, now_utc, once_in
from betting.service.floor import Floors, KeyTaken, session_in, write
from betting.service.session import Session
from betting.store.exchange import ExchangeStore


@dataclass(frozen=True, slots=True)
class Cancelled:
    """An offer after it was taken back, and how much that really was: a match may have been first."""

    offer: Offer
    market: Market
    amount: int


class Trading:
    def __init__(self, pool: Pool, floors: Floors, *, clock: Clock = now_utc) -> None:
        self._pool = pool
        self._floors = floors
        self._clock = clock

    async def cancel(self, call: Call, offer_id: OfferId, show: Show[Cancelled]) -> Answer:
        """Take back what is not matched. Raises OfferNotFound (also for another bettor's offer), OfferPending."""
        async with transaction(self._pool, readonly=True) as conn:
            market_id = await ExchangeStore(conn).market_of_offer(offer_id, call.user_id)
        return await self._once(market_id, End(call, offer_id, Ending.BY_OWNER, show))

    async def decline(self, call: Call, offer_id: OfferId, show: Show[Cancelled]) -> Answer:
        """Say no to a challenge: it ends. Raises ChallengeNotFound, OfferPending."""
        async with transaction(self._pool, readonly=True) as conn:
            market_id = await ExchangeStore(conn).market_of_challenge(offer_id, call.user_id)
        if market_id is None:
            raise ChallengeNotFound("nobody challenged you with this offer")
        return await self._once(market_id, End(call, offer_id, Ending.DECLINED, show))

    async def cancel_all(
        self, call: Call, market_id: MarketId | None, show: Show[Sequence[Cancelled]]
    ) -> Answer:
        """Take back everything that rests, in one market or in all.

        Market by market: if it is interrupted, asking again with the same key goes on where it stopped.
        """
        async with transaction(self._pool) as conn:
            stored = await stored_answer(
                conn, principal=str(call.user_id), key=call.key, fingerprint=call.fingerprint
            )
            if stored is not None:
                return stored
            markets = await ExchangeStore(conn).markets_with_offers_of(call.user_id)
        done: dict[OfferId, Cancelled] = {}
        for each in markets:
            if market_id in (None, each):
                await self._floors.do(each, EndAll(call, done))

        async def work(_: Connection) -> Answer:
            return show(tuple(done.values()))

        return await once_in(self._pool, call, work)

    def expiry(self) -> Handler:
        """What the deadline of an offer does: what is left of it ends."""

        async def lock(conn: Connection, deadline: Deadline) -> None:
            await self._lock(conn, deadline)

        async def effect(conn: Connection, deadline: Deadline) -> None:
            market = await self._lock(conn, deadline)
            session = await session_in(conn, market, self._clock())  # ends whatever has no time left
            await write(conn, market, session)

        return Handler(lock, effect)

    async def _lock(self, conn: Connection, deadline: Deadline) -> Market:
        store = ExchangeStore(conn)
        offer = await store.offer(OfferId(UUID(deadline.subject.removeprefix("offers/"))))
        return await store.market_for_update(offer.market_id)

    async def _once(self, market_id: MarketId, act: "End") -> Answer:
        try:
            return await self._floors.do(market_id, act)
        except KeyTaken:
            async with transaction(self._pool) as conn:
                call = act.call
                stored = await claim(
                    conn, principal=str(call.user_id), key=call.key, fingerprint=call.fingerprint
                )
            if stored is None:
                raise AssertionError("a key that was taken cannot be claimed") from None
            return stored


@dataclass(frozen=True, slots=True)
class End:
    """Somebody ends one offer; if it has ended already, there is nothing left to take back."""

    call: Call
    id: OfferId
    why: Ending
    show: Show[Cancelled]

    @property
    def offers(self) -> Sequence[OfferId]:
        return (self.id,)

    def happen(self, session: Session) -> Answer:
        offer = session.offer(self.id)
        left = offer.remaining
        if offer.is_live:
            offer = session.end(self.id, OfferStatus.CANCELLED, self.why, actor=self.call.user_id)
        return self.show(Cancelled(offer, session.market, left))


@dataclass(frozen=True, slots=True)
class EndAll:
    """A bettor's resting offers in one market end; they are added to `done`."""

    by: Call
    done: dict[OfferId, Cancelled]
    call: Call | None = None

    @property
    def offers(self) -> Sequence[OfferId]:
        return ()

    def happen(self, session: Session) -> Answer:
        user = self.by.user_id
        for offer in session.book.resting():
            if offer.user_id == user and offer.status in RESTING:
                ended = session.end(offer.id, OfferStatus.CANCELLED, Ending.BY_OWNER, actor=user)
                self.done[offer.id] = Cancelled(ended, session.market, offer.remaining)
        return Answer(200, "")
