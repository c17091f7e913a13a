"""What happened in a market within one transaction: its events and bookings, in order.

A market is the aggregate of everything in it, offers included. Each event takes the market's next sequence number
and makes its id from it, so a retried transaction tells the same events; a booking follows the event that caused it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from common.money import Money
from common.outbox import Announcement
from common.telemetry.traces import traceparent
from contracts import betting as wire
from contracts.envelope import envelope
from contracts.ledger import PostRequested
from contracts.topology import COMMAND_QUEUES, COMMANDS
from contracts.wire import Event

from betting import bookings
from betting.domain.book import Level
from betting.domain.ids import EventId, Minor, UserId
from betting.domain.markets import Market
from betting.domain.matching import Fill
from betting.domain.offers import Ending, Offer, OfferStatus
from betting.domain.settlement import Outcome

SOURCE = "/betting"


class Chronicle:
    """Collects; the store writes it to the outbox together with `market`, whose sequence moves along."""

    def __init__(self, market: Market, now: datetime) -> None:
        self.market = market
        self.now = now
        self.announcements: list[Announcement] = []

    @property
    def currency(self) -> str:
        return self.market.terms.currency

    # -- offers

    def placed(self, offer: Offer) -> int:
        """The stake is held and the offer takes part. Its sequence is its place in time."""
        return self._tell(
            f"offers/{offer.id}",
            wire.OfferPlaced(
                offer_id=offer.id,
                market_id=offer.market_id,
                bettor_id=offer.user_id,
                runner_id=self.market.runner_of(offer.side),
                ratio=wire.Ratio(risk=offer.ratio.risk, win=offer.ratio.win),
                stake=self._amount(offer.stake),
                currency=self.currency,
                placed_at=self.now,
            ),
        )

    def matched(self, fill: Fill) -> int:
        """A bet: told, and booked."""
        ratio = fill.maker.ratio
        sequence = self._tell(
            f"offers/{fill.taker.id}",
            wire.OfferMatched(
                fill_id=fill.id,
                market_id=self.market.id,
                ratio=wire.Ratio(risk=ratio.risk, win=ratio.win),
                maker=self._side(fill.maker, fill.maker_stake),
                taker=self._side(fill.taker, fill.taker_stake),
                pot=self._amount(fill.pot),
                currency=self.currency,
                matched_at=self.now,
            ),
        )
        self.book(bookings.match(fill, self.currency))
        return sequence

    def ended(self, offer: Offer) -> int | None:
        """An offer that ended with money left: told as cancelled or lapsed, and the money given back."""
        if offer.is_live or not offer.released:
            return None
        event: Event
        if offer.status is OfferStatus.CANCELLED and offer.ending is Ending.BY_OWNER:
            event = wire.OfferCancelled(
                offer_id=offer.id,
                market_id=offer.market_id,
                bettor_id=offer.user_id,
                released=self._amount(offer.released),
                currency=self.currency,
                cancelled_at=self.now,
            )
        else:
            event = wire.OfferLapsed(
                offer_id=offer.id,
                market_id=offer.market_id,
                bettor_id=offer.user_id,
                released=self._amount(offer.released),
                currency=self.currency,
                reason=str(offer.ending),
                lapsed_at=self.now,
            )
        sequence = self._tell(f"offers/{offer.id}", event)
        self.book(bookings.release(offer, self.currency))
        return sequence

    # -- the market

    def book_changed(self, levels: Sequence[Level]) -> int:
        """Which levels moved and what they are now. Nobody's name."""
        return self._tell_of_market(
            wire.BookChanged(
                market_id=self.market.id,
                market_version=self.market.version,
                levels=tuple(
                    wire.BookLevel(
                        runner_id=self.market.runner_of(level.side),
                        ratio=wire.Ratio(risk=level.ratio.risk, win=level.ratio.win),
                        amount=self._amount(level.amount),
                    )
                    for level in levels
                ),
                changed_at=self.now,
            )
        )

    def opened(self, event_id: EventId) -> None:
        terms = self.market.terms
        self._tell_of_market(
            wire.MarketOpened(
                market_id=self.market.id,
                race_id=terms.race_id,
                event_id=event_id,
                currency=self.currency,
                commission_bps=terms.commission_bps,
                tie_rule=wire.TieRule(terms.tie_rule),
                opened_at=self.now,
            )
        )

    def closed(self) -> None:
        self._tell_of_market(
            wire.MarketClosed(
                market_id=self.market.id,
                matched_total=self._amount(self.market.escrow),
                currency=self.currency,
                closed_at=self.now,
            )
        )

    def suspended(self, reason: str) -> None:
        self._tell_of_market(
            wire.MarketSuspended(market_id=self.market.id, reason=reason[:200], suspended_at=self.now)
        )

    def resumed(self, reason: str) -> None:
        self._tell_of_market(
            wire.MarketResumed(market_id=self.market.id, reason=reason[:200], resumed_at=self.now)
        )

    def restarted(self, officials: tuple[UserId, UserId], reason: str) -> None:
        self._tell_of_market(
            wire.MarketRestarted(
                market_id=self.market.id,
                status=self.market.status,
                reason=reason[:200],
                officials=officials,
                restarted_at=self.now,
            )
        )

    def resettling(self, reason: str) -> None:
        self._tell_of_market(
            wire.MarketResettling(
                market_id=self.market.id,
                settlement_version=self.market.settlement,
                reason=reason[:200],
                resettling_at=self.now,
            )
        )

    def settled(self, version: int, outcome: Outcome, total: Minor, commission: Minor) -> None:
        winner = outcome.winner
        self._tell_of_market(
            wire.MarketSettled(
                market_id=self.market.id,
                settlement_version=version,
                winner=None if winner is None else self.market.runner_of(winner),
                total=self._amount(total),
                commission=self._amount(commission),
                currency=self.currency,
                settled_at=self.now,
            )
        )

    def voided(self, reason: str, total: Minor) -> None:
        self._tell_of_market(
            wire.MarketVoided(
                market_id=self.market.id,
                reason=reason[:200],
                total=self._amount(total),
                currency=self.currency,
                voided_at=self.now,
            )
        )

    def book(self, command: PostRequested) -> None:
        """Ask the ledger, after whatever has been told so far."""
        aggregate, sequence = bookings.reference(self.market.id), self.market.sequence
        asked = envelope(
            command,
            id=uuid5(self.market.id, command.idempotency_key),
            subject=aggregate,
            version=sequence,
            time=self.now,
            source=SOURCE,
            traceparent=traceparent(),
        )
        self.announcements.append(
            Announcement(aggregate, sequence, asked, exchange=COMMANDS, routing_key=COMMAND_QUEUES["betting"])
        )

    # -- how

    def _tell_of_market(self, event: Event) -> int:
        return self._tell(bookings.reference(self.market.id), event)

    def _tell(self, subject: str, event: Event) -> int:
        self.market = self.market.advanced()
        sequence = self.market.sequence
        aggregate = bookings.reference(self.market.id)
        told = envelope(
            event,
            id=uuid5(self.market.id, str(sequence)),
            subject=subject,
            version=sequence,
            time=self.now,
            partition_key=aggregate,
            traceparent=traceparent(),
        )
        self.announcements.append(Announcement(aggregate, sequence, told))
        return sequence

    def _side(self, offer: Offer, risked: Minor) -> wire.Fill:
        return wire.Fill(
            offer_id=offer.id,
            bettor_id=offer.user_id,
            runner_id=self.market.runner_of(offer.side),
            risked=self._amount(risked),
            remaining=self._amount(offer.remaining),
        )

    def _amount(self, amount: Minor) -> str:
        return str(Money.from_minor(amount, self.currency))


def announcement(noun: str, id: UUID, version: int, event: Event, now: datetime) -> Announcement:
    """An event about an aggregate that is no market: an event, a race, or an offer that never took part in one."""
    aggregate = f"{noun}/{id}"
    told = envelope(
        event,
        id=uuid5(id, str(version)),
        subject=aggregate,
        version=version,
        time=now,
        traceparent=traceparent(),
    )
    return Announcement(aggregate, version, told)


def rejected(offer: Offer, reason: str, now: datetime) -> Announcement:
    """A refused offer never took part in its market: it is an aggregate of its own, and waits for no lock."""
    event = wire.OfferRejected(
        offer_id=offer.id,
        market_id=offer.market_id,
        bettor_id=offer.user_id,
        reason=reason[:200],
        rejected_at=now,
    )
    return announcement("offers", offer.id, 1, event, now)
