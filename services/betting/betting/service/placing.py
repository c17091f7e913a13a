"""Placing an offer: a saga of three steps, each of which may be the last thing this process does.

1. Write the offer down, PENDING, under the bettor's key.
2. Ask the ledger to hold the stake, under the offer's own key. No transaction is open meanwhile.
3. Under the market's lock, match it and let it rest; or, if the hold was refused, reject it; or, if the market is
   no longer the one the bettor saw, give the stake back. The answer is stored in the same transaction.

Whoever finds an offer still PENDING (`resume`) takes up at step 2: it **asks the ledger again with the same key** and
never decides by looking. The hold's answer is the same for ever, so it does not matter how often it is asked.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from common.errors import Unavailable
from common.idempotency import Answer, claim, finish
from common.outbox import announce_all
from common.pg import Connection, Pool, transaction
from prometheus_client import Counter

from betting.chronicle import Chronicle, rejected
from betting.domain.errors import (
    CurrencyNotTaken,
    HoldRefused,
    MarketNotOpen,
    OfferPending,
    RunnerNotInMarket,
    StaleMarket,
)
from betting.domain.ids import MarketId, Minor, OfferId, RunnerId, UserId
from betting.domain.markets import Market
from betting.domain.matching import match
from betting.domain.offers import Ending, Offer, OfferStatus, check_stake
from betting.domain.ratios import Ratio
from betting.ledger import Holds, pending
from betting.service.calls import Call, Clock, NewId, Show, now_utc
from betting.store.exchange import ExchangeStore
from betting.store.reading import OwnFill, OwnOffer

LONGEST_WAIT_SECONDS = 60
"""Between two attempts at the same offer, however often the ledger has been silent."""

_finished = Counter("betting_offers_finished_total", "Offers whose placing came to an end.", ("status",))
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WantedOffer:
    """What a bettor asks for, and the market as the bettor saw it."""

    market_id: MarketId
    market_version: int
    terms_hash: bytes | None
    runner_id: RunnerId
    ratio: Ratio
    stake: Minor
    currency: str


class Placing:
    def __init__(
        self,
        pool: Pool,
        holds: Holds,
        *,
        show: Show[OwnOffer],
        patience: timedelta = timedelta(seconds=10),
        clock: Clock = now_utc,
        new_id: NewId = uuid4,
    ) -> None:
        """`patience` is how long the request itself has before a sweeper takes its offer up."""
        self._pool = pool
        self._holds = holds
        self._show = show
        self._patience = patience
        self._clock = clock
        self._new_id = new_id

    async def place(self, call: Call, wanted: WantedOffer) -> Answer:
        """Place an offer, or give the answer stored under the call's key.

        Raises what the request itself is refused for: MarketNotFound, MarketNotOpen, StaleMarket, RunnerNotInMarket,
        CurrencyNotTaken, StakeOutOfBounds, StakeNotWholeLots, OfferKeyUsed, KeyReused. A refused hold is a stored
        answer. OfferPending and KeyInFlight: not decided yet, ask again with the same key.
        """
        async with transaction(self._pool) as conn:
            stored = await claim(
                conn, principal=str(call.user_id), key=call.key, fingerprint=call.fingerprint
            )
            if stored is not None:
                return stored
            offer = await self._write_down(ExchangeStore(conn), call, wanted)
        return await self._finish(offer, wanted.currency)

    async def resume(self, *, limit: int = 32) -> int:
        """Take up offers left PENDING whose time has come. How many there were."""
        async with transaction(self._pool) as conn:
            offers = await ExchangeStore(conn).due(
                now=self._clock(), longest_wait_seconds=LONGEST_WAIT_SECONDS, limit=limit
            )
        await asyncio.gather(*(self._take_up(offer, currency) for offer, currency in offers))
        return len(offers)

    async def _take_up(self, offer: Offer, currency: str) -> None:
        try:
            await self._finish(offer, currency)
        except (OfferPending, Unavailable) as silence:
            log.info("an offer is still pending", extra={"offer": offer.id, "why": silence.detail})

    async def _write_down(self, store: ExchangeStore, call: Call, wanted: WantedOffer) -> Offer:
        market = await store.market(wanted.market_id)
        offer = _offer(market, wanted, call.user_id, OfferId(self._new_id()), self._clock)
        await store.add_offer(
            offer, wanted.currency, key=call.key, next_attempt_at=offer.placed_at + self._patience
        )
        return offer

    async def _finish(self, offer: Offer, currency: str) -> Answer:
        try:
            await self._holds.place(offer, currency)
        except HoldRefused as refusal:
            return await self._reject(offer, refusal)
        return await self._admit(offer)

    async def _reject(self, offer: Offer, refusal: HoldRefused) -> Answer:
        now = self._clock()
        async with transaction(self._pool) as conn:
            store = ExchangeStore(conn)
            waiting = await store.pending(offer.id)
            if waiting is None:  # finished by somebody else, who stored the answer
                raise pending(offer)
            offer, key = waiting
            offer = offer.ended(OfferStatus.REJECTED, Ending.HOLD_REFUSED)
            await store.reject(offer, now=now)
            await announce_all(conn, (rejected(offer, refusal.detail, now),))
            return await _answer(conn, offer, key, Answer.refusing(refusal))

    async def _admit(self, offer: Offer) -> Answer:
        """The stake is held: match and rest, unless the market the bettor saw is gone."""
        async with transaction(self._pool) as conn:
            store = ExchangeStore(conn)
            chronicle = Chronicle(await store.market_for_update(offer.market_id), self._clock())
            waiting = await store.pending(offer.id)
            if waiting is None:
                raise pending(offer)
            offer, key = waiting
            try:
                chronicle.market.check_admits(offer.market_version, None)
            except (MarketNotOpen, StaleMarket) as refusal:
                offer = await _give_back(store, chronicle, offer, refusal)
                refusal.extra["offer"] = str(offer.id)
                answer = Answer.refusing(refusal)
            else:
                admitted = await _match(store, chronicle, offer)
                offer, answer = admitted.offer, self._show(admitted)
            await announce_all(conn, chronicle.announcements)
            return await _answer(conn, offer, key, answer)


def _offer(market: Market, wanted: WantedOffer, user_id: UserId, id: OfferId, clock: Clock) -> Offer:
    """The offer as wanted, if the market takes it."""
    market.check_admits(wanted.market_version, wanted.terms_hash)
    terms = market.terms
    side = market.side_of(wanted.runner_id)
    if side is None:
        raise RunnerNotInMarket("the runner is not in this market", field="runner_id")
    if wanted.currency != terms.currency:
        raise CurrencyNotTaken(f"the market is in {terms.currency}", field="currency")
    check_stake(wanted.stake, wanted.ratio, min_stake=terms.min_stake, max_stake=terms.max_stake)
    return Offer(
        id=id,
        market_id=market.id,
        market_version=market.version,
        user_id=user_id,
        side=side,
        ratio=wanted.ratio,
        stake=wanted.stake,
        matched=0,
        remaining=wanted.stake,
        released=0,
        status=OfferStatus.PENDING,
        placed_at=clock(),
    )


async def _match(store: ExchangeStore, chronicle: Chronicle, offer: Offer) -> OwnOffer:
    """Let the offer meet the book, and write and tell everything that comes of it."""
    now = chronicle.now
    makers = await store.makers(offer, chronicle.currency)
    offer = replace(offer, sequence=chronicle.placed(offer))
    matching = match(offer, makers, min_stake=chronicle.market.terms.min_stake)
    fills = []
    for fill in matching.fills:
        fills.append((fill, chronicle.matched(fill)))
        chronicle.ended(fill.maker)
    chronicle.ended(matching.taker)
    chronicle.market = chronicle.market.escrowed(matching.pot)
    changed = (matching.taker, *(fill.maker for fill in matching.fills))
    await store.save(chronicle.market, now=now, offers=changed, fills=fills)
    own = tuple(
        OwnFill(fill.id, offer.id, fill.maker.ratio.inverse, fill.taker_stake, fill.pot, now)
        for fill in matching.fills
    )
    return OwnOffer(matching.taker, chronicle.market, own)


async def _give_back(
    store: ExchangeStore, chronicle: Chronicle, offer: Offer, refusal: MarketNotOpen | StaleMarket
) -> Offer:
    """The hold came too late: nothing is placed, and the held stake goes back."""
    why = Ending.MARKET_CHANGED if isinstance(refusal, StaleMarket) else Ending.MARKET_CLOSED
    offer = offer.ended(OfferStatus.LAPSED, why)
    offer = replace(offer, sequence=chronicle.ended(offer))
    await store.save(chronicle.market, now=chronicle.now, offers=(offer,))
    return offer


async def _answer(conn: Connection, offer: Offer, key: str, answer: Answer) -> Answer:
    """Store the answer to a placement, whoever it was that finished it."""
    await finish(conn, principal=str(offer.user_id), key=key, answer=answer)
    _finished.labels(offer.status).inc()
    return answer
