"""Withdrawals: money reserved in the ledger, carried out by the rail, then booked.

REQUESTED > RESERVED > (REVIEW >) APPROVED > SENDING > SENT > LIQUIDATED > BOOKED. The ledger may refuse to
reserve (REFUSED). The rules of review let a withdrawal pass or leave it to people. An order without a clear
answer is SEND_UNKNOWN until the rail gives one when asked by our own clave: it is never sent again blindly and
its money is never given back on a guess. REJECTED by the rail, by people or by the player > RELEASED. What the
receiving bank sends back after all: BOOKED > RETURNING > RETURNED; or BOOKED still, when that turns out not to be so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType
from uuid import UUID

from common.money import Money

from payments.domain.accounts import Clabe, PlayerId
from payments.domain.deposits import IllegalStep
from payments.domain.evidence import MEXICO_CITY
from payments.domain.orders import OWN_INSTITUTION, Order

WithdrawalId = NewType("WithdrawalId", UUID)


class PayoutRail(StrEnum):
    """What carries a withdrawal: SPEI in seconds, or the slow rail that clears in windows."""

    SPEI = "spei"
    TED = "ted"


class WithdrawalState(StrEnum):
    """Where a withdrawal is."""

    REQUESTED = "REQUESTED"
    REFUSED = "REFUSED"
    RESERVED = "RESERVED"
    REVIEW = "REVIEW"
    APPROVED = "APPROVED"
    SENDING = "SENDING"
    SEND_UNKNOWN = "SEND_UNKNOWN"
    SENT = "SENT"
    LIQUIDATED = "LIQUIDATED"
    REJECTED = "REJECTED"
    BOOKED = "BOOKED"
    RELEASED = "RELEASED"
    RETURNING = "RETURNING"
    RETURNED = "RETURNED"


_ANSWERS: Final = frozenset({WithdrawalState.LIQUIDATED, WithdrawalState.REJECTED})

STEPS: Final[Mapping[WithdrawalState, frozenset[WithdrawalState]]] = MappingProxyType(
    {
        WithdrawalState.REQUESTED: frozenset({WithdrawalState.RESERVED, WithdrawalState.REFUSED}),
        WithdrawalState.RESERVED: frozenset(
            {WithdrawalState.REVIEW, WithdrawalState.APPROVED, WithdrawalState.REJECTED}
        ),
        WithdrawalState.REVIEW: frozenset({WithdrawalState.APPROVED, WithdrawalState.REJECTED}),
        WithdrawalState.APPROVED: frozenset({WithdrawalState.SENDING, WithdrawalState.REJECTED}),
        WithdrawalState.SENDING: _ANSWERS | {WithdrawalState.SEND_UNKNOWN, WithdrawalState.SENT},
        WithdrawalState.SEND_UNKNOWN: _ANSWERS | {WithdrawalState.SENDING, WithdrawalState.SENT},
        WithdrawalState.SENT: _ANSWERS,
        WithdrawalState.LIQUIDATED: frozenset({WithdrawalState.BOOKED}),
        WithdrawalState.REJECTED: frozenset({WithdrawalState.RELEASED}),
        WithdrawalState.BOOKED: frozenset({WithdrawalState.RETURNING}),
        WithdrawalState.RETURNING: frozenset({WithdrawalState.RETURNED, WithdrawalState.BOOKED}),
        WithdrawalState.REFUSED: frozenset(),
        WithdrawalState.RELEASED: frozenset(),
        WithdrawalState.RETURNED: frozenset(),
    }
)
"""Which state may follow which. The database holds the same."""

RANKS: Final[Mapping[WithdrawalState, int]] = MappingProxyType(
    {
        WithdrawalState.REQUESTED: 1,
        WithdrawalState.RESERVED: 2,
        WithdrawalState.REVIEW: 3,
        WithdrawalState.APPROVED: 4,
        WithdrawalState.SENDING: 5,
        WithdrawalState.SEND_UNKNOWN: 5,
        WithdrawalState.SENT: 6,
        WithdrawalState.LIQUIDATED: 7,
        WithdrawalState.REJECTED: 7,
        WithdrawalState.REFUSED: 8,
        WithdrawalState.BOOKED: 8,
        WithdrawalState.RELEASED: 8,
        WithdrawalState.RETURNING: 8,
        WithdrawalState.RETURNED: 10,
    }
)
"""No step goes down in rank. SENDING and SEND_UNKNOWN are twins, and so are BOOKED and RETURNING, which is only claimed."""

TOLD: Final = frozenset(
    {
        WithdrawalState.RESERVED,
        WithdrawalState.REFUSED,
        WithdrawalState.SENT,
        WithdrawalState.BOOKED,
        WithdrawalState.RELEASED,
    }
)
"""The states whose coming is told as an event, beside the request itself."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A wish to be paid out and what became of it.

    `clave` is our own, there from the first SENDING on; `sent_at` is the moment before the last send.
    """

    id: WithdrawalId
    player: PlayerId
    clabe: Clabe
    beneficiary_name: str
    amount: Money
    state: WithdrawalState
    requested_at: datetime
    reason: str | None = None
    detail: str | None = None
    attention: str | None = None
    rail: PayoutRail = PayoutRail.SPEI
    device: UUID | None = None
    """The player's device that signed the request, if one did."""
    clave: str | None = None
    sends: int = 0
    sent_at: datetime | None = None
    version: int = 1
    tries: int = 0
    leases: int = 0

    def to(
        self, after: WithdrawalState, *, reason: str | None = None, detail: str | None = None
    ) -> "Withdrawal":
        """The withdrawal one step on. Raises `IllegalStep` for a step there is not."""
        if not may_step(self.state, after):
            raise IllegalStep(f"{self.state} does not lead to {after}")
        return replace(
            self,
            state=after,
            reason=reason or self.reason,
            detail=detail or self.detail,
            attention=None,
            version=self.version + (after in TOLD),
            tries=0,
        )

    def sending(self, now: datetime) -> "Withdrawal":
        """About to be sent, under the clave it keeps for ever."""
        sending = self.to(WithdrawalState.SENDING)
        return replace(sending, clave=clave_of(self.id), sends=self.sends + 1, sent_at=now)

    def kept(self) -> "Withdrawal":
        """What was said to have come back has not: booked as it was, and that was told. Raises `IllegalStep`."""
        return replace(self.to(WithdrawalState.BOOKED), version=self.version)

    @property
    def tracking_key(self) -> str:
        """The order's key on the rail: the day we last sent it, our institution, our clave.

        Raises `IllegalStep` for a withdrawal that was never sent.
        """
        if self.sent_at is None or self.clave is None:
            raise IllegalStep(f"withdrawal {self.id} was never sent")
        return f"{self.sent_at.astimezone(MEXICO_CITY):%Y%m%d}:{OWN_INSTITUTION}:{self.clave}"

    @property
    def order(self) -> Order:
        """The order that carries it out. Raises `IllegalStep` for a withdrawal that was never sent."""
        if self.clave is None:
            raise IllegalStep(f"withdrawal {self.id} has no clave yet: persist it before the rail is asked")
        return Order(
            clave=self.clave,
            clabe=self.clabe,
            beneficiary_name=self.beneficiary_name,
            amount=self.amount,
            concept="Retiro",
            sends=self.sends,
            sent_at=self.sent_at,
            unknown=self.state is WithdrawalState.SEND_UNKNOWN,
        )

    @property
    def reference(self) -> str:
        """What all of its entries in the ledger refer to."""
        return f"withdrawals/{self.id}"


CANCELLABLE: Final = frozenset(
    {
        WithdrawalState.REQUESTED,
        WithdrawalState.RESERVED,
        WithdrawalState.REVIEW,
        WithdrawalState.APPROVED,
    }
)
"""Before the rail hears of it, a player may think better of it."""

CANCELLED: Final = "cancelled"
"""The reason of a withdrawal that its player took back."""


def may_step(before: WithdrawalState, after: WithdrawalState) -> bool:
    """Whether `after` may follow `before`."""
    return after in STEPS[before]


def clave_of(withdrawal: WithdrawalId) -> str:
    """Our own clave de rastreo for a withdrawal: known before, and the same after, any crash."""
    return f"EC{withdrawal.hex.upper()[:28]}"
