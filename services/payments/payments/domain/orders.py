"""Orders: money we send out by a transfer rail, and what the rail's word on them means.

An order has a clave of our own from before its first send. A withdrawal and the return of money in suspense
are both carried out by one.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

from common.money import Money

from payments.domain.evidence import RailStatus

MAX_SENDS: Final = 5
"""How often one order is sent at most, always under the same clave. A sender that dies just before it sends has used one."""

OWN_INSTITUTION: Final = "90646"
"""The participant that carries our orders, by its Banxico code."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is sent. `unknown`: it was sent and there is no answer; `sent_at` is the moment before the last send."""

    clave: str
    clabe: str
    beneficiary_name: str
    amount: Money
    concept: str
    sends: int
    sent_at: datetime | None
    unknown: bool


@dataclass(frozen=True, slots=True)
class RailOrder:
    """What the rail says about one of our orders."""

    clave: str
    beneficiary_clabe: str
    amount: Money
    status: RailStatus
    reason: str | None
    operation_date: date | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """The rail's answer: it carries the order, has carried it, or will not."""

    outcome: Literal["sent", "liquidated", "rejected"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Resend:
    """The rail never got the order, by its own word and after its window: send it again, same clave."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No answer that decides. `attention` says what a person must look into, if anything."""

    attention: str | None = None


Outcome = Settled | Resend | Wait


def read_order(order: Order, told: RailOrder) -> Outcome:
    """What the rail's word on our order means. An order that is not as we sent it decides nothing.

    One that came back was carried out before: it is booked out, and its return is booked on its own.
    """
    if (told.clave, told.beneficiary_clabe, told.amount) != (order.clave, order.clabe, order.amount):
        return Wait(attention="order-differs")
    match told.status:
        case RailStatus.IN_PROCESS:
            return Settled("sent")
        case RailStatus.LIQUIDATED | RailStatus.RETURNED:
            return Settled("liquidated")
        case RailStatus.REJECTED | RailStatus.CANCELLED:
            return Settled("rejected", told.reason or str(told.status))


def read_absence(order: Order, *, now: datetime, window: timedelta) -> Outcome:
    """What it means that the rail knows no order with our clave.

    Nothing, until its window after the last send is over: the order may still be on its way.
    """
    if order.sent_at is None or not order.unknown:
        return Wait(attention="order-vanished")
    if now < order.sent_at + window:
        return Wait()
    if order.sends >= MAX_SENDS:
        return Wait(attention="order-never-arrived")
    return Resend()
