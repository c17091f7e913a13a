"""Placing an offer: a saga of three steps, each of which may be the last thing this process does.

1. Write the offer down, PENDING, under the bettor's key (`desk`).
2. Ask the ledger to hold the stake, under the offer's own key. No transaction is open meanwhile.
3. On the market's floor, match it and let it rest; or, if the hold was refused, reject it (`rejecting`); or, if the market is
   no longer the one the bettor saw, give the stake back. The answer is stored in the same transaction.

Whoever finds an offer still PENDING (`resume`) takes up at step 2: it **asks the ledger again with the same key** and
never decides by looking. The hold's answer is the same for ever, so it does not matter how often it is asked.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import DomainError, Unavailable
from common.idempotency import Answer
from common.pg import Pool, transaction
from prometheus_client import Counter

from betting.domain.errors import (
    BettingSuspended,
    BettorBarred,
    HoldRefused,
    MarketNotOpen,
    OfferPending,
    Overloaded,
    StaleMarket,
)
from betting.domain.ids import OfferId
from betting.domain.offers import Ending, Offer, OfferStatus
from betting.ledger import pending
from betting.service.calls import Call, Clock, Show, now_utc
from betting.service.desk import Desk, WantedOffer
from betting.service.floor import Floors
from betting.service.holding import Holding
from betting.service.rejecting import Rejecting
from betting.service.session import Session, Stored
from betting.store.exchange import ExchangeStore, Waiting
from betting.store.reading import OwnOffer

LONGEST_WAIT_SECONDS = 60
"""Between two attempts at the same offer, however often the ledger has been silent."""

_finished = Counter("betting_offers_finished_total", "Offers whose placing came to an end.", ("status",))
log = logging.getLogger(__name__)


class Placing:
    def __init__(
        self,
        pool: Pool,
        desk: Desk,
        holding: Holding,
        floors: Floors,
        rejecting: Rejecting,
        *,
        show: Show[OwnOffer],
        clock: Clock = now_utc,
    ) -> None:
        self._pool = pool
        self._desk = desk
        self._holding = holding
        self._floors = floors
        self._rejecting = rejecting
        self._show = show
        self._clock = clock

    async def place(self, call: Call, wanted: WantedOffer) -> Answer:
        """Place an offer, or give the answer stored under the call's key.

        Raises what the request itself is refused for (see `Desk.write_down`). A refused hold is a stored answer, and
        so is a market that changed meanwhile. OfferPending and KeyInFlight: not decided yet, ask again with the same
        key.
        """
        written = await self._desk.write_down(call, wanted)
        if isinstance(written, Answer):
            return written
        return await self._finish(written, wanted.currency)

    async def resume(self, *, limit: int = 256) -> int:
        """Take up offers left PENDING whose time has come. How many there were.

        As many as a second brings at the full rate: their holds are asked for together and they are placed together, so
        what an outage left pending is finished in about as long as the outage took.
        """
        async with transaction(self._pool) as conn:
            offers = await ExchangeStore(conn).due(
                now=self._clock(), longest_wait_seconds=LONGEST_WAIT_SECONDS, limit=limit
            )
        await asyncio.gather(*(self._take_up(offer, currency) for offer, currency in offers))
        return len(offers)

    async def _take_up(self, offer: Offer, currency: str) -> None:
        try:
            await self._finish(offer, currency)
        except (OfferPending, Overloaded, Unavailable) as silence:
            log.info("an offer is still pending", extra={"offer": offer.id, "why": silence.detail})

    async def _finish(self, offer: Offer, currency: str) -> Answer:
        try:
            await self._holding.hold(offer, currency)
        except HoldRefused as refusal:
            answer = await self._rejecting.reject(offer, refusal)
            _finished.labels(OfferStatus.REJECTED).inc()
            return answer
        return await self._floors.do(offer.market_id, Admit(offer.id, self._show))


@dataclass(frozen=True, slots=True)
class Admit:
    """The stake is held: match and rest, unless the market the bettor saw is gone or the offer's own time is over."""

    id: OfferId
    show: Show[OwnOffer]
    call: Call | None = None

    @property
    def offers(self) -> Sequence[OfferId]:
        return (self.id,)

    def happen(self, session: Session) -> Answer:
        """Raises OfferPending if somebody else finished it."""
        waiting = session.waiting.get(self.id)
        offer = session.offer(self.id)
        if waiting is None or offer.status is not OfferStatus.PENDING:
            raise pending(offer)
        refusal = _refusal(session, waiting)
        if refusal is None:
            admitted = session.admit(offer)
            offer, answer = admitted.offer, self.show(admitted)
        else:
            offer = session.give_back(offer, _WHY[type(refusal)])
            refusal.extra["offer"] = str(offer.id)
            answer = Answer.refusing(refusal)
        session.answers.append(Stored(str(offer.user_id), waiting.key, answer))
        _finished.labels(offer.status).inc()
        return answer


_WHY: dict[type[DomainError], Ending] = {
    MarketNotOpen: Ending.MARKET_CLOSED,
    StaleMarket: Ending.MARKET_CHANGED,
    BettingSuspended: Ending.BETTOR_SUSPENDED,
    BettorBarred: Ending.BETTOR_BARRED,
}


def _refusal(session: Session, waiting: Waiting) -> DomainError | None:
    """One of `_WHY`, if the offer cannot be placed any more."""
    try:
        session.market.check_admits(waiting.offer.slip.market_version, None, session.chronicle.now)
    except (MarketNotOpen, StaleMarket) as refusal:
        return refusal
    if waiting.suspended:
        return BettingSuspended("you may not bet for now")
    if waiting.forbidden:
        return BettorBarred("you are of a stable now, or officiate, or your stable's horse runs here")
    return None
