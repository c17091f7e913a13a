"""Every payment in four words, for whoever only wants to know whether it is done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from common.money import Money


class PaymentKind(StrEnum):
    """What moves the money, and which way."""

    SPEI_IN = "SPEI_IN"
    SPEI_OUT = "SPEI_OUT"
    TED_OUT = "TED_OUT"
    CARD_IN = "CARD_IN"


class PaymentStatus(StrEnum):
    """Whether it is done. A payment that has come back was COMPLETED before it was REVERTED."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    REVERTED = "REVERTED"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of any kind. `completed_at` is the moment it came to its end, null while it is PENDING."""

    id: UUID
    kind: PaymentKind
    amount: Money
    state: str
    status: PaymentStatus
    created_at: datetime
    completed_at: datetime | None


STATUSES: Final[Mapping[str, PaymentStatus]] = MappingProxyType(
    {
        "BOOKED": PaymentStatus.COMPLETED,
        "ASSIGNED": PaymentStatus.COMPLETED,
        "CAPTURED": PaymentStatus.COMPLETED,
        "SETTLED": PaymentStatus.COMPLETED,
        "REJECTED": PaymentStatus.FAILED,
        "REFUSED": PaymentStatus.FAILED,
        "RELEASED": PaymentStatus.FAILED,
        "VOIDED": PaymentStatus.FAILED,
        "EXPIRED": PaymentStatus.FAILED,
        "DECLINED": PaymentStatus.FAILED,
        "RETURNED": PaymentStatus.REVERTED,
        "RETURNING": PaymentStatus.REVERTED,
    }
)
"""By the payment's own state; any other is PENDING. A rejected withdrawal is FAILED once its money is back."""


def status_of(kind: PaymentKind, state: str, *, reverted: bool) -> PaymentStatus:
    """The status of a payment in that state. `reverted`: all of a card payment was refunded."""
    if reverted:
        return PaymentStatus.REVERTED
    outward = kind in (PaymentKind.SPEI_OUT, PaymentKind.TED_OUT)
    if outward and state == "REJECTED":
        return PaymentStatus.PENDING
    return STATUSES.get(state, PaymentStatus.PENDING)
