"""What bettors are shown of their own: offers, bets, receipts, exposure and profit."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from common.http import View
from common.idempotency import Answer

from betting.api.views import amount, cursor
from betting.domain.markets import Market
from betting.domain.offers import Ending, Offer, OfferStatus
from betting.domain.settlement import Outcome, Verdict
from betting.service.desk import CURRENCY
from betting.service.trading import Cancelled
from betting.store.accounts import Exposure, Profit
from betting.store.reading import Bet, OwnFill, OwnOffer


class FillView(View):
    """A bet of yours: at this ratio you risk `stake`, and win the pot or nothing."""

    id: UUID
    risk: int
    win: int
    stake: str
    pot: str
    matched_at: datetime

    @classmethod
    def of(cls, fill: OwnFill, currency: str) -> "FillView":
        return cls(
            id=fill.id,
            risk=fill.ratio.risk,
            win=fill.ratio.win,
            stake=amount(fill.stake, currency),
            pot=amount(fill.pot, currency),
            matched_at=fill.matched_at,
        )


class OfferView(View):
    """Your offer: `matched + remaining + released` is always its stake."""

    id: UUID
    market_id: UUID
    market_version: int
    runner_id: UUID
    risk: int
    win: int
    stake: str
    currency: str
    status: OfferStatus
    matched: str
    remaining: str
    released: str
    ending: Ending | None
    placed_at: datetime
    fill_or_kill: bool
    min_fill: str | None
    expires_at: datetime | None
    challenges: UUID | None
    answers: UUID | None
    fills: tuple[FillView, ...]

    @classmethod
    def of(cls, own: OwnOffer) -> "OfferView":
        offer, currency = own.offer, own.market.terms.currency
        options = offer.slip.options
        return cls(
            id=offer.id,
            market_id=offer.market_id,
            market_version=offer.slip.market_version,
            runner_id=own.market.runner_of(offer.side),
            risk=offer.ratio.risk,
            win=offer.ratio.win,
            stake=amount(offer.stake, currency),
            currency=currency,
            status=offer.status,
            matched=amount(offer.matched, currency),
            remaining=amount(offer.remaining, currency),
            released=amount(offer.released, currency),
            ending=offer.ending,
            placed_at=offer.slip.placed_at,
            fill_or_kill=options.fill_or_kill,
            min_fill=None if options.min_fill is None else amount(options.min_fill, currency),
            expires_at=options.expires_at,
            challenges=options.challenges,
            answers=options.answers,
            fills=tuple(FillView.of(fill, currency) for fill in own.fills),
        )


class OfferPage(View):
    """The newest first."""

    items: tuple[OfferView, ...]
    next: str | None

    @classmethod
    def of(cls, offers: Sequence[OwnOffer], limit: int) -> "OfferPage":
        last = offers[-1].offer if len(offers) == limit else None
        return cls(
            items=tuple(OfferView.of(own) for own in offers),
            next=None if last is None else cursor(last.slip.placed_at, last.id),
        )


class CancelView(View):
    """What a cancel really took back; the rest had become bets or had ended before."""

    id: UUID
    status: OfferStatus
    cancelled: str
    matched: str
    currency: str

    @classmethod
    def of(cls, done: Cancelled) -> "CancelView":
        offer, currency = done.offer, done.market.terms.currency
        return cls(
            id=offer.id,
            status=offer.status,
            cancelled=amount(done.amount, currency),
            matched=amount(offer.matched, currency),
            currency=currency,
        )


class CancelAllView(View):
    """Every offer that was taken back."""

    items: tuple[CancelView, ...]

    @classmethod
    def of(cls, done: Sequence[Cancelled]) -> "CancelAllView":
        return cls(items=tuple(CancelView.of(each) for each in done))


class ChallengeView(View):
    """An offer to you alone: risk on your side what it wins, in its lots, by an offer that `answers` it."""

    id: UUID
    market_id: UUID
    market_version: int
    runner_id: UUID
    risk: int
    win: int
    remaining: str
    currency: str
    placed_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, offer: Offer, market: Market) -> "ChallengeView":
        currency = market.terms.currency
        return cls(
            id=offer.id,
            market_id=market.id,
            market_version=market.version,
            runner_id=market.runner_of(offer.side),
            risk=offer.ratio.risk,
            win=offer.ratio.win,
            remaining=amount(offer.remaining, currency),
            currency=currency,
            placed_at=offer.slip.placed_at,
            expires_at=offer.slip.options.expires_at,
        )


class ChallengesView(View):
    """Challenges to you, the newest first."""

    items: tuple[ChallengeView, ...]


class ReceiptView(View):
    """The wager record as it was written when the offer was placed, and its SHA-256: hash it again to check."""

    record: str
    sha256: str

    @classmethod
    def of(cls, record: str) -> "ReceiptView":
        return cls(record=record, sha256=hashlib.sha256(record.encode()).hexdigest())


class MarketExposureView(View):
    """What you have at risk in a market; `if_a` and `if_b` are what your bets bring, before commission, if that runner
    of the market's `runners` wins."""

    market_id: UUID
    currency: str
    offered: str
    staked: str
    if_a: str
    if_b: str
    worst: str


class ExposureView(View):
    """What you have at risk in all markets that are not settled. `at_risk` is what can be lost at worst, offers
    included."""

    currency: str
    at_risk: str
    markets: tuple[MarketExposureView, ...]

    @classmethod
    def of(cls, exposures: Sequence[Exposure]) -> "ExposureView":
        worst = {each.market_id: min(each.if_a, each.if_b, 0) for each in exposures}
        at_risk = sum(each.offered - worst[each.market_id] for each in exposures)
        return cls(
            currency=CURRENCY,
            at_risk=amount(at_risk, CURRENCY),
            markets=tuple(
                MarketExposureView(
                    market_id=each.market_id,
                    currency=each.currency,
                    offered=amount(each.offered, each.currency),
                    staked=amount(each.staked, each.currency),
                    if_a=amount(each.if_a, each.currency),
                    if_b=amount(each.if_b, each.currency),
                    worst=amount(worst[each.market_id], each.currency),
                )
                for each in exposures
            ),
        )


class ProfitView(View):
    """What a settled market brought you: `payout - staked`."""

    market_id: UUID
    currency: str
    settlement: int
    outcome: Outcome
    staked: str
    payout: str
    commission: str
    withheld: str
    profit: str
    booked_at: datetime

    @classmethod
    def of(cls, profit: Profit) -> "ProfitView":
        return cls(
            market_id=profit.market_id,
            currency=profit.currency,
            settlement=profit.version,
            outcome=Outcome(profit.outcome),
            staked=amount(profit.staked, profit.currency),
            payout=amount(profit.payout, profit.currency),
            commission=amount(profit.commission, profit.currency),
            withheld=amount(profit.withheld, profit.currency),
            profit=amount(profit.payout - profit.staked, profit.currency),
            booked_at=profit.booked_at,
        )


class ProfitPage(View):
    """The latest settlement first."""

    items: tuple[ProfitView, ...]
    next: str | None

    @classmethod
    def of(cls, profits: Sequence[Profit], limit: int) -> "ProfitPage":
        last = profits[-1] if len(profits) == limit else None
        return cls(
            items=tuple(ProfitView.of(profit) for profit in profits),
            next=None if last is None else cursor(last.booked_at, last.market_id),
        )


class BetView(FillView):
    """A bet of yours and, once its market is settled or void, how it came out."""

    offer_id: UUID
    market_id: UUID
    runner_id: UUID
    currency: str
    verdict: Verdict | None

    @classmethod
    def showing(cls, bet: Bet) -> "BetView":
        currency = bet.market.terms.currency
        return cls(
            **dict(FillView.of(bet.fill, currency)),
            offer_id=bet.fill.offer_id,
            market_id=bet.market.id,
            runner_id=bet.market.runner_of(bet.side),
            currency=currency,
            verdict=None if bet.outcome is None else bet.outcome.verdict(bet.side),
        )


class BetPage(View):
    """The newest first."""

    items: tuple[BetView, ...]
    next: str | None

    @classmethod
    def of(cls, bets: Sequence[Bet], limit: int) -> "BetPage":
        last = bets[-1].fill if len(bets) == limit else None
        return cls(
            items=tuple(BetView.showing(bet) for bet in bets),
            next=None if last is None else cursor(last.matched_at, last.id),
        )


def own_offer_answer(own: OwnOffer) -> Answer:
    """The answer to a placement, whoever finishes it."""
    return Answer.of(OfferView.of(own), status=201, resource=f"offers/{own.offer.id}")
