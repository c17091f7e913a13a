"""The desk: where offers are written down before any money is asked for, many bettors' at once.

What is refused here leaves no trace: the key stays free. The market is looked at without a lock, so an offer may still
find it closed when its stake is held; the floor has the last word.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from common.errors import DomainError
from common.idempotency import Answer, claim
from common.pg import Pool, transaction

from betting.domain.errors import (
    BettingSuspended,
    ConnectionBarred,
    CurrencyNotTaken,
    DuplicateSlip,
    ExposureExceeded,
    MarketNotFound,
    OfficialBarred,
    RunnerNotInMarket,
    TooManyOffers,
)
from betting.domain.ids import MarketId, Minor, OfferId, RunnerId
from betting.domain.offers import PLAIN, Offer, Options, Slip, check_stake
from betting.domain.ratios import Ratio
from betting.service.batching import Batcher
from betting.service.calls import Call, Clock, NewId, now_utc
from betting.store.desk import Asked, DeskStore, Stall, Standing, Written

TWIN_SECONDS = 3.0
"""An identical slip within this time needs the bettor's word that it is meant."""
MOST_LIVE_OFFERS = 500
"""Of one bettor, in all markets together."""
CURRENCY = "MXN"


@dataclass(frozen=True, slots=True)
class WantedOffer:
    """What a bettor asks for, and the market as the bettor saw it. `repeat`: the same again is meant. `session` is
    the fingerprint of the session it was asked in."""

    market_id: MarketId
    market_version: int
    terms_hash: bytes | None
    runner_id: RunnerId
    ratio: Ratio
    stake: Minor
    currency: str
    options: Options = PLAIN
    repeat: bool = False
    session: str | None = None


@dataclass(frozen=True, slots=True)
class _Slip:
    """A request on its way to be written down."""

    call: Call
    wanted: WantedOffer


class KeyUsed(Exception):
    """The key has been used; what is stored under it is the answer."""


class Desk:
    def __init__(
        self,
        pool: Pool,
        *,
        patience: timedelta = timedelta(seconds=10),
        clock: Clock = now_utc,
        new_id: NewId = uuid4,
        turn: asyncio.Lock | None = None,
    ) -> None:
        """`patience` is how long the request itself has before a sweeper takes its offer up. `turn` is shared with the
        floors, so that neither spends the machine on batches of few while the other one commits."""
        self._pool = pool
        self._patience = patience
        self._clock = clock
        self._new_id = new_id
        self._slips: Batcher[_Slip, Offer] = Batcher("desk", self._commit, turn=turn)

    async def write_down(self, call: Call, wanted: WantedOffer) -> Offer | Answer:
        """The offer, PENDING; or the answer stored under the call's key.

        Raises MarketNotFound, MarketNotOpen, StaleMarket, RunnerNotInMarket, CurrencyNotTaken, StakeOutOfBounds,
        StakeNotWholeLots, OptionsInvalid, BettingSuspended, OfficialBarred, ConnectionBarred, DuplicateSlip,
        ExposureExceeded, TooManyOffers, OfferKeyUsed, KeyReused, KeyInFlight, Overloaded.
        """
        try:
            return await self._slips.submit(_Slip(call, wanted))
        except KeyUsed:
            return await self._stored(call)

    async def drained(self) -> None:
        await self._slips.drained()

    async def _stored(self, call: Call) -> Answer:
        """Raises KeyReused, KeyInFlight."""
        async with transaction(self._pool) as conn:
            stored = await claim(
                conn, principal=str(call.user_id), key=call.key, fingerprint=call.fingerprint
            )
        if stored is None:
            raise AssertionError("a used key cannot be claimed")
        return stored

    async def _commit(self, slips: Sequence[_Slip]) -> Sequence[Offer | Exception]:
        now = self._clock()
        async with transaction(self._pool) as conn:
            store = DeskStore(conn)
            await store.one_at_a_time(list({slip.call.user_id for slip in slips}))
            stalls = await store.stalls(list({slip.wanted.market_id for slip in slips}))
            standings = await store.standings(
                [_asked(slip) for slip in slips],
                twins_since=now - timedelta(seconds=TWIN_SECONDS),
                currency=CURRENCY,
            )
            batch = _Batch(stalls, now, self._patience)
            results = [
                batch.consider(slip, standing, OfferId(self._new_id()))
                for slip, standing in zip(slips, standings, strict=True)
            ]
            if batch.written:
                await store.write_down(batch.written)
        return results


def _asked(slip: _Slip) -> Asked:
    wanted = slip.wanted
    return Asked(
        slip.call.user_id, slip.call.key, wanted.market_id, wanted.runner_id, wanted.ratio.risk,
        wanted.ratio.win, wanted.stake,
    )  # fmt: skip


class _Batch:
    """Decides slip by slip. What was decided earlier in the batch counts for those after it."""

    def __init__(self, stalls: Mapping[MarketId, Stall], now: datetime, patience: timedelta) -> None:
        self._stalls = stalls
        self._now = now
        self._patience = patience
        self.written: list[Written] = []

    def consider(self, slip: _Slip, standing: Standing, id: OfferId) -> Offer | Exception:
        call, wanted = slip.call, slip.wanted
        earlier = [each for each in self.written if each.offer.user_id == call.user_id]
        if standing.used or any(each.key == call.key for each in earlier):
            return KeyUsed()
        stall = self._stalls.get(wanted.market_id)
        if stall is None:
            return MarketNotFound("no such market", field="market_id")
        try:
            offer = _offer(stall, call, wanted, standing, id, self._now)
            _check_bettor(offer, wanted, stall, standing, [each.offer for each in earlier])
        except DomainError as refusal:
            return refusal
        self.written.append(
            Written(
                offer=offer,
                currency=wanted.currency,
                key=call.key,
                fingerprint=call.fingerprint,
                next_attempt_at=self._now + self._patience,
                repeated=wanted.repeat,
                session=wanted.session,
                record=record_of(offer, stall, wanted.session),
            )
        )
        return offer


def _offer(
    stall: Stall, call: Call, wanted: WantedOffer, standing: Standing, id: OfferId, now: datetime
) -> Offer:
    """The offer as wanted, if the market takes it."""
    market = stall.market
    market.check_admits(wanted.market_version, wanted.terms_hash, now)
    terms = market.terms
    side = market.side_of(wanted.runner_id)
    if side is None:
        raise RunnerNotInMarket("the runner is not in this market", field="runner_id")
    if wanted.currency != terms.currency:
        raise CurrencyNotTaken(f"the market is in {terms.currency}", field="currency")
    check_stake(wanted.stake, wanted.ratio, min_stake=terms.min_stake, max_stake=terms.max_stake)
    wanted.options.check(wanted.stake, bettor=call.user_id, now=now)
    return Offer.pending(
        Slip(
            id=id,
            market_id=market.id,
            market_version=market.version,
            user_id=call.user_id,
            owner=standing.owner or call.user_id,
            side=side,
            ratio=wanted.ratio,
            stake=wanted.stake,
            placed_at=now,
            options=wanted.options,
        )
    )


def _check_bettor(
    offer: Offer, wanted: WantedOffer, stall: Stall, standing: Standing, earlier: Sequence[Offer]
) -> None:
    """What speaks against this bettor placing this offer now."""
    if standing.suspended is not None:
        raise BettingSuspended(f"you may not bet for now: {standing.suspended}")
    if standing.officiates:
        raise OfficialBarred("you officiate at this event")
    if standing.own and standing.own != {wanted.runner_id}:
        raise ConnectionBarred("your stable has a horse in this race: bet on it, or not at all")
    twins = any(
        (each.market_id, each.side, each.ratio, each.stake)
        == (offer.market_id, offer.side, offer.ratio, offer.stake)
        for each in earlier
    )
    if (standing.twin or twins) and not wanted.repeat:
        raise DuplicateSlip(
            "you placed the same offer a moment ago; say `repeat` if you mean it", field="repeat"
        )
    at_risk = sum(each.stake for each in earlier if each.market_id == offer.market_id)
    if standing.exposure + at_risk + offer.stake > stall.market.terms.max_exposure:
        raise ExposureExceeded("that is more than one bettor may risk in this market", field="stake")
    if standing.live + len(earlier) >= MOST_LIVE_OFFERS:
        raise TooManyOffers(f"at most {MOST_LIVE_OFFERS} offers may be open; cancel some")


def record_of(offer: Offer, stall: Stall, session: str | None) -> str:
    """The wager record: what was agreed, as canonical JSON. Kept as it is; its SHA-256 is the bettor's receipt."""
    slip, market = offer.slip, stall.market
    options = slip.options
    record = {
        "offer": str(offer.id),
        "bettor": str(offer.user_id),
        "event": str(stall.event_id),
        "race": str(market.terms.race_id),
        "market": str(market.id),
        "market_version": slip.market_version,
        "terms_sha256": market.terms.digest.hex(),
        "runner": str(market.runner_of(offer.side)),
        "side": offer.side.value,
        "risk": offer.ratio.risk,
        "win": offer.ratio.win,
        "stake_minor": offer.stake,
        "potential_win_minor": offer.stake // offer.ratio.risk * offer.ratio.win,
        "currency": market.terms.currency,
        "placed_at": slip.placed_at.isoformat(),
        "session": session,
        "fill_or_kill": options.fill_or_kill,
        "min_fill_minor": options.min_fill,
        "expires_at": options.expires_at and options.expires_at.isoformat(),
        "challenges": options.challenges and str(options.challenges),
        "answers": options.answers and str(options.answers),
    }
    return json.dumps(record, sort_keys=True, separators=(",", ":"))
