"""Disputes: the cardholder, or their bank, contests a payment, and the provider says how that ends."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

from common.money import Money

from payments.domain.accounts import PlayerId
from payments.domain.cards import Standing

ENTRIES: Final = UUID("6f0f6a8e-5f0b-5c0e-8a55-2a3f0c5b7d21")
"""The namespace of the ids of disputes' entries: one step of one dispute is one entry."""


class DisputeState(StrEnum):
    """OPEN > WON | LOST, and no further. What is won is ours again; what is lost is gone."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


class Step(StrEnum):
    """What a dispute does to the books. The database says when each is due, and for how much."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Dispute:
    """One by the provider's own id. `amount` in pesos is what can be taken for it at most."""

    psp_id: str
    amount: Decimal
    state: DisputeState


@dataclass(frozen=True, slots=True)
class DisputeEntry:
    """One step of a dispute, to be booked. `reference` is its card payment's."""

    dispute_id: str
    step: Step
    amount: Money
    psp: str
    reference: str

    @property
    def id(self) -> UUID:
        """One for each step of a dispute, however often it is asked for."""
        return uuid5(ENTRIES, f"{self.step}:{self.dispute_id}")


@dataclass(frozen=True, slots=True)
class Recovery:
    """A part of what was lost that is taken of the player; its id is the ledger's key for it."""

    id: UUID
    amount: Money


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What is left of a lost dispute's amount. `asked` is what the ledger was asked for and has not answered."""

    dispute_id: str
    player: PlayerId
    reference: str
    left: Money
    asked: Recovery | None = None


def told_state(standing: Standing) -> DisputeState:
    """How a dispute stands by what the provider says of its object."""
    match standing:
        case Standing.SUCCEEDED:
            return DisputeState.WON
        case Standing.FAILED:
            return DisputeState.LOST
        case Standing.PROCESSING | Standing.REQUIRES_ACTION:
            return DisputeState.OPEN
