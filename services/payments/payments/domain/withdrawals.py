"""Withdrawals: money reserved in the ledger, carried out by the rail, then booked.

REQUESTED > RESERVED > SENDING > SENT > LIQUIDATED > BOOKED. The ledger may refuse to reserve (REFUSED). An
order without a clear answer is SEND_UNKNOWN until the rail gives one when asked by our own clave: it is
never sent again blindly and its money is never given back on a guess. REJECTED by the rail > RELEASED.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, NewType
from uuid import UUID

from common.money import Money

from payments.domain.accounts import Clabe, PlayerId
from payments.domain.deposits import IllegalStep
from payments.domain.evidence import MEXICO_CITY, RailStatus

WithdrawalId = NewType("WithdrawalId", UUID)

OWN_INSTITUTION: Final = "90646"
"""The participant that carries our orders, by its Banxico code."""

MAX_SENDS: Final = 3
"""How often one order is sent at most, always under the same clave."""


class WithdrawalState(StrEnum):
    """Where a withdrawal is."""

    REQUESTED = "REQUESTED"
    REFUSED = "REFUSED"
    RESERVED = "RESERVED"
    SENDING = "SENDING"
    SEND_UNKNOWN = "SEND_UNKNOWN"
    SENT = "SENT"
    LIQUIDATED = "LIQUIDATED"
    REJECTED = "REJECTED"
    BOOKED = "BOOKED"
    RELEASED = "RELEASED"


_ANSWERS: Final = frozenset({WithdrawalState.LIQUIDATED, WithdrawalState.REJECTED})

STEPS: Final[Mapping[WithdrawalState, frozenset[WithdrawalState]]] = MappingProxyType(
    {
        WithdrawalState.REQUESTED: frozenset({WithdrawalState.RESERVED, WithdrawalState.REFUSED}),
        WithdrawalState.RESERVED: frozenset({WithdrawalState.SENDING}),
        WithdrawalState.SENDING: _ANSWERS | {WithdrawalState.SEND_UNKNOWN, WithdrawalState.SENT},
        WithdrawalState.SEND_UNKNOWN: _ANSWERS | {WithdrawalState.SENDING, WithdrawalState.SENT},
        WithdrawalState.SENT: _ANSWERS,
        WithdrawalState.LIQUIDATED: frozenset({WithdrawalState.BOOKED}),
        WithdrawalState.REJECTED: frozenset({WithdrawalState.RELEASED}),
        WithdrawalState.REFUSED: frozenset(),
        WithdrawalState.BOOKED: frozenset(),
        WithdrawalState.RELEASED: frozenset(),
    }
)
"""Which state may follow which. The database holds the same."""

RANKS: Final[Mapping[WithdrawalState, int]] = MappingProxyType(
    {
        WithdrawalState.REQUESTED: 1,
        WithdrawalState.RESERVED: 2,
        WithdrawalState.SENDING: 3,
        WithdrawalState.SEND_UNKNOWN: 3,
        WithdrawalState.SENT: 4,
        WithdrawalState.LIQUIDATED: 5,
        WithdrawalState.REJECTED: 5,
        WithdrawalState.REFUSED: 6,
        WithdrawalState.BOOKED: 6,
        WithdrawalState.RELEASED: 6,
    }
)
"""No step goes down in rank. SENDING and SEND_UNKNOWN are twins."""

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

    @property
    def tracking_key(self) -> str:
        """The order's key on the rail: the day we last sent it, our institution, our clave.

        Raises `IllegalStep` for a withdrawal that was never sent.
        """
        if self.sent_at is None or self.clave is None:
            raise IllegalStep(f"withdrawal {self.id} was never sent")
        return f"{self.sent_at.astimezone(MEXICO_CITY):%Y%m%d}:{OWN_INSTITUTION}:{self.clave}"

    @property
    def reference(self) -> str:
        """What all of its entries in the ledger refer to."""
        return f"withdrawals/{self.id}"


@dataclass(frozen=True, slots=True)
class RailOrder:
    """What the rail says about one of our orders."""

    clave: str
    beneficiary_clabe: str
    amount: Money
    status: RailStatus
    reason: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """The rail's answer, and the state it leads to."""

    state: Literal[WithdrawalState.SENT, WithdrawalState.LIQUIDATED, WithdrawalState.REJECTED]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Resend:
    """The rail never got the order, by its own word and after its window: send it again, same clave."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No answer that decides. `attention` says what a person must look into, if anything."""

    attention: str | None = None


Outcome = Settled | Resend | Wait


def may_step(before: WithdrawalState, after: WithdrawalState) -> bool:
    """Whether `after` may follow `before`."""
    return after in STEPS[before]


def read_order(withdrawal: Withdrawal, order: RailOrder) -> Outcome:
    """What the rail's word on our order means. An order that is not as we sent it decides nothing."""
    if (order.clave, order.beneficiary_clabe, order.amount) != (
        withdrawal.clave,
        withdrawal.clabe,
        withdrawal.amount,
    ):
        return Wait(attention="order-differs")
    match order.status:
        case RailStatus.IN_PROCESS:
            return Settled(WithdrawalState.SENT)
        case RailStatus.LIQUIDATED:
            return Settled(WithdrawalState.LIQUIDATED)
        case RailStatus.REJECTED | RailStatus.CANCELLED:
            return Settled(WithdrawalState.REJECTED, order.reason or str(order.status))
        case RailStatus.RETURNED:
            return Wait(attention="order-returned")


def read_absence(withdrawal: Withdrawal, *, now: datetime, window: timedelta) -> Outcome:
    """What it means that the rail knows no order with our clave.

    Nothing, until its window after the last send is over: the order may still be on its way.
    """
    if withdrawal.sent_at is None or withdrawal.state is not WithdrawalState.SEND_UNKNOWN:
        return Wait(attention="order-vanished")
    if now < withdrawal.sent_at + window:
        return Wait()
    if withdrawal.sends >= MAX_SENDS:
        return Wait(attention="order-never-arrived")
    return Resend()


def clave_of(withdrawal: WithdrawalId) -> str:
    """Our own clave de rastreo for a withdrawal: known before, and the same after, any crash."""
    return f"EC{withdrawal.hex.upper()[:28]}"
