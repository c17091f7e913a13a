"""Disputes: the cardholder, or their bank, contests a payment, and the provider says how that ends."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from payments.domain.cards import Standing


class DisputeState(StrEnum):
    """OPEN > WON | LOST, and no further. What is won is ours again; what is lost is gone."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class Dispute:
    """One by the provider's own id. `amount` in pesos is what can be taken for it at most."""

    psp_id: str
    amount: Decimal
    state: DisputeState


def told_state(standing: Standing) -> DisputeState:
    """How a dispute stands by what the provider says of its object."""
    match standing:
        case Standing.SUCCEEDED:
            return DisputeState.WON
        case Standing.FAILED:
            return DisputeState.LOST
        case Standing.PROCESSING | Standing.REQUIRES_ACTION:
            return DisputeState.OPEN
