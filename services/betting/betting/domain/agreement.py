"""Whether betting's books of one market and the ledger's say the same. Amounts are minor units.

They do if the ledger's escrow holds what the bets put into it and no settlement has taken out; if of every offer as much is
still held as may still be matched, and nothing is held for anything else; and if from every bettor as much went into bets
as betting's bets of theirs say.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from betting.domain.ids import Minor, OfferId, UserId


@dataclass(frozen=True, slots=True)
class Staked:
    """An offer's stake as betting has it. `undecided`: nobody knows yet whether it is held."""

    user_id: UserId
    matched: Minor
    remaining: Minor
    undecided: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A hold as the ledger has it: what is left of it, and what went from it into bets."""

    user_id: UserId
    remaining: Minor
    captured: Minor


@dataclass(frozen=True, slots=True)
class OwnBooks:
    """Betting's. `escrow` is what the market says that its bets put in, `pots` what they sum to, `paid` what booked
    settlements took out and did not bring back."""

    escrow: Minor
    pots: Minor
    paid: Minor
    offers: Mapping[OfferId, Staked]


@dataclass(frozen=True, slots=True)
class LedgerBooks:
    escrow: Minor
    holds: Mapping[UUID, Held]


def differences(own: OwnBooks, ledger: LedgerBooks, words: Callable[[Minor], str]) -> Iterator[str]:
    """Each way in which they differ; `words` writes an amount."""
    if own.escrow != own.pots:
        yield f"betting: the market's bets put {words(own.escrow)} in, and sum to {words(own.pots)}"
    if own.pots - own.paid != ledger.escrow:
        yield f"escrow: betting {words(own.pots - own.paid)}, ledger {words(ledger.escrow)}"
    yield from _of_holds(own, ledger, words)
    yield from _of_bettors(own, ledger, words)


def _of_holds(own: OwnBooks, ledger: LedgerBooks, words: Callable[[Minor], str]) -> Iterator[str]:
    for id, offer in own.offers.items():
        left = ledger.holds[id].remaining if id in ledger.holds else 0
        if offer.undecided:
            yield f"offer {id}: still on its way"
        elif offer.remaining != left:
            yield f"offer {id}: betting {words(offer.remaining)}, held {words(left)}"
    for hold, held in ledger.holds.items():
        if held.remaining and hold not in own.offers:
            yield f"hold {hold}: of no offer, held {words(held.remaining)}"


def _of_bettors(own: OwnBooks, ledger: LedgerBooks, words: Callable[[Minor], str]) -> Iterator[str]:
    matched, captured = Counter[UserId](), Counter[UserId]()
    for offer in own.offers.values():
        matched[offer.user_id] += offer.matched
    for held in ledger.holds.values():
        captured[held.user_id] += held.captured
    for user in sorted({*matched, *captured}):
        if matched[user] != captured[user]:
            yield f"bettor {user}: betting {words(matched[user])} in bets, ledger {words(captured[user])}"
