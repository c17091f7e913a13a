"""Card payments: one authorization, captures of its parts, a void, refunds.

Each of these is an operation with a key of its own at the provider, written down before the provider hears
of it. What has no clear answer is UNKNOWN, the twin of SENDING, until the provider answers when it is asked by
our key; nothing is sent again on a guess, and what the provider says is believed only when it was fetched and
says what we asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NewType
from uuid import UUID

from common.money import Money

from payments.domain.accounts import PlayerId
from payments.domain.deposits import IllegalStep

CardPaymentId = NewType("CardPaymentId", UUID)
OperationId = NewType("OperationId", UUID)

MAX_SENDS: Final = 5
"""How often one operation is sent at most, always under the same key. A sender that dies just before it sends has used one."""

AUTHORIZATION_LASTS: Final = timedelta(days=7)
"""When the provider does not say until when an authorization stands."""


class Act(StrEnum):
    """What is asked of the provider."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


class OperationState(StrEnum):
    """Where an operation is."""

    REQUESTED = "REQUESTED"
    RESERVED = "RESERVED"
    REFUSED = "REFUSED"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    BOOKED = "BOOKED"
    SETTLED = "SETTLED"
    CLEARED = "CLEARED"
    FAILED = "FAILED"
    RELEASED = "RELEASED"
    REVERSING = "REVERSING"
    REVERSED = "REVERSED"
    CONFLICTED = "CONFLICTED"


class PaymentState(StrEnum):
    """Where a card payment is, as its operations make it."""

    CREATED = "CREATED"
    AUTHORIZING = "AUTHORIZING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    AUTHORIZED = "AUTHORIZED"
    CAPTURING = "CAPTURING"
    CAPTURED = "CAPTURED"
    SETTLED = "SETTLED"
    VOIDING = "VOIDING"
    VOIDED = "VOIDED"
    EXPIRED = "EXPIRED"
    DECLINED = "DECLINED"
    CONFLICTED = "CONFLICTED"


RANKS: Final[Mapping[PaymentState, int]] = MappingProxyType(
    {
        PaymentState.CREATED: 0,
        PaymentState.AUTHORIZING: 1,
        PaymentState.REQUIRES_ACTION: 2,
        PaymentState.AUTHORIZED: 3,
        PaymentState.CAPTURING: 4,
        PaymentState.VOIDING: 4,
        PaymentState.CAPTURED: 5,
        PaymentState.SETTLED: 6,
        PaymentState.VOIDED: 7,
        PaymentState.EXPIRED: 7,
        PaymentState.DECLINED: 7,
        PaymentState.CONFLICTED: 7,
    }
)
"""The database holds the same. A payment falls back only from an attempt that failed (a void, a capture), and
a capture that turns out to have happened outranks a void or an expiry."""

_S = OperationState
_ANSWERS: Final = frozenset({_S.PENDING, _S.CONFIRMED, _S.FAILED, _S.CONFLICTED})
_SENT: Final[Mapping[OperationState, frozenset[OperationState]]] = MappingProxyType(
    {
        _S.SENDING: _ANSWERS | {_S.UNKNOWN},
        _S.UNKNOWN: _ANSWERS | {_S.SENDING},
        _S.PENDING: _ANSWERS - {_S.PENDING},
    }
)
_ASKED: Final = {_S.REQUESTED: frozenset({_S.SENDING, _S.REFUSED})}

STEPS: Final[Mapping[Act, Mapping[OperationState, frozenset[OperationState]]]] = MappingProxyType(
    {
        Act.AUTHORIZE: MappingProxyType({**_SENT, **_ASKED}),
        Act.VOID: MappingProxyType({**_SENT, **_ASKED}),
        Act.CAPTURE: MappingProxyType(
            {
                **_SENT,
                **_ASKED,
                _S.CONFIRMED: frozenset({_S.BOOKED, _S.CONFLICTED}),
                _S.BOOKED: frozenset({_S.SETTLED}),
                _S.SETTLED: frozenset({_S.CLEARED}),
            }
        ),
        Act.REFUND: MappingProxyType(
            {
                **_SENT,
                _S.REQUESTED: frozenset({_S.RESERVED, _S.REFUSED}),
                _S.RESERVED: frozenset({_S.SENDING}),
                _S.CONFIRMED: frozenset({_S.BOOKED}),
                _S.FAILED: frozenset({_S.RELEASED}),
                _S.BOOKED: frozenset({_S.REVERSING}),
                _S.REVERSING: frozenset({_S.REVERSED, _S.CONFLICTED}),
            }
        ),
    }
)
"""Which state may follow which, for each act. The database holds the same."""


@dataclass(frozen=True, slots=True)
class CardPayment:
    """A wish to pay by card. `psp_id` is the provider's id of the authorization, from its confirmation on."""

    id: CardPaymentId
    player: PlayerId
    psp: str
    card_token: str
    amount: Money
    capture_at_once: bool
    state: PaymentState
    created_at: datetime
    psp_id: str | None = None
    expires_at: datetime | None = None
    reason: str | None = None
    captured: Money | None = None
    refunding: Money | None = None
    version: int = 1

    @property
    def reference(self) -> str:
        """What all of its entries in the ledger refer to."""
        return f"cards/{self.id}"

    @property
    def stands_until(self) -> datetime:
        """When the authorization runs out."""
        return self.expires_at or self.created_at + AUTHORIZATION_LASTS

    def at(self, state: PaymentState, *, reason: str | None = None) -> "CardPayment":
        """The payment in that state, or itself where it is already further: late news changes nothing."""
        if state is self.state or not may_become(self.state, state):
            return self
        return replace(self, state=state, reason=reason or self.reason, version=self.version + 1)


def may_become(before: PaymentState, after: PaymentState) -> bool:
    """Whether a payment may go from `before` to `after`."""
    if (before, after) in _FALLS_BACK:
        return True
    return RANKS[after] >= RANKS[before] and before not in _ENDS


_ENDS: Final = frozenset(
    {PaymentState.VOIDED, PaymentState.EXPIRED, PaymentState.DECLINED, PaymentState.CONFLICTED}
)
_FALLS_BACK: Final = frozenset(
    {
        (PaymentState.VOIDING, PaymentState.AUTHORIZED),
        (PaymentState.CAPTURING, PaymentState.AUTHORIZED),
        (PaymentState.VOIDED, PaymentState.CAPTURED),
        (PaymentState.VOIDED, PaymentState.SETTLED),
        (PaymentState.EXPIRED, PaymentState.CAPTURED),
        (PaymentState.EXPIRED, PaymentState.SETTLED),
    }
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing asked of the provider. Its id is our key there, for ever."""

    id: OperationId
    payment_id: CardPaymentId
    act: Act
    amount: Money
    state: OperationState
    requested_at: datetime
    reason: str | None = None
    attention: str | None = None
    psp_id: str | None = None
    stands_in: str = "uncleared"
    sends: int = 0
    sent_at: datetime | None = None
    version: int = 1
    tries: int = 0
    leases: int = 0

    @property
    def reference(self) -> str:
        """What its events are about."""
        return f"cards/{self.payment_id}/{self.act}/{self.id}"

    def to(
        self, after: OperationState, *, reason: str | None = None, psp_id: str | None = None
    ) -> "Operation":
        """The operation one step on. Raises `IllegalStep` for a step there is not."""
        if not may_step(self.act, self.state, after):
            raise IllegalStep(f"a {self.act} does not go from {self.state} to {after}")
        return replace(
            self,
            state=after,
            reason=reason or self.reason,
            psp_id=self.psp_id or psp_id,
            attention=None,
            version=self.version + 1,
            tries=0,
        )

    def sending(self, now: datetime) -> "Operation":
        """About to be sent, under the key it keeps for ever."""
        return replace(self.to(OperationState.SENDING), sends=self.sends + 1, sent_at=now)


def may_step(act: Act, before: OperationState, after: OperationState) -> bool:
    """Whether `after` may follow `before` for that act."""
    return after in STEPS[act].get(before, frozenset())


class Standing(StrEnum):
    """How far an object is, in the provider's words."""

    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Told:
    """An object of the provider's, as it was fetched."""

    psp_id: str
    key: str
    act: str
    parent: str | None
    amount: str
    currency: str
    standing: Standing
    reason: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """The provider's answer, and the state it leads to."""

    state: OperationState
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SendAgain:
    """The provider never got it, by its own word and after its window."""


@dataclass(frozen=True, slots=True)
class StayPut:
    """Nothing that changes anything; `attention` says what a person must look into, if anything."""

    attention: str | None = None


Reading = Reached | SendAgain | StayPut

ANOTHERS_OBJECT: Final = "anothers-object"


def read_told(operation: Operation, told: Told, *, parent: str | None, taken: bool) -> Reading:
    """What a fetched object means for the operation it answers.

    `parent` is the provider's id of the authorization the operation belongs to; `taken`: another operation of ours
    has been answered by this object. An object that is not what we asked for, or that contradicts what it said
    before, books nothing: CONFLICTED, for a person.
    """
    lie = ANOTHERS_OBJECT if taken else _lie(operation, told, parent)
    if lie is not None:
        return _contradicted(operation, lie)
    match told.standing:
        case Standing.PROCESSING | Standing.REQUIRES_ACTION:
            return _or_nothing(operation, OperationState.PENDING, str(told.standing))
        case Standing.SUCCEEDED:
            if operation.state in (OperationState.FAILED, OperationState.RELEASED):
                return StayPut(attention="succeeded-after-failed")
            return _or_nothing(operation, OperationState.CONFIRMED, None)
        case Standing.FAILED:
            return _read_failure(operation, told.reason or "failed")


def _read_failure(operation: Operation, reason: str) -> Reading:
    if operation.act is Act.REFUND and operation.state is OperationState.BOOKED:
        return Reached(OperationState.REVERSING, reason)
    if operation.state in (OperationState.REVERSING, OperationState.REVERSED):
        return StayPut()
    if operation.state is OperationState.CONFIRMED and operation.act is Act.REFUND:
        return StayPut()  # it is booked first; the failure is read again then
    if operation.state in _SUCCEEDED:
        return _contradicted(operation, "failed-after-success")
    return _or_nothing(operation, OperationState.FAILED, reason)


def _lie(operation: Operation, told: Told, parent: str | None) -> str | None:
    if told.key != str(operation.id) or told.act != operation.act:
        return "another-object"
    if operation.psp_id is not None and told.psp_id != operation.psp_id:
        return "second-object"
    if operation.act is not Act.AUTHORIZE and told.parent != parent:
        return "another-authorization"
    if told.currency != operation.amount.currency:
        return "wrong-currency"
    try:
        amount = Money.parse(told.amount, told.currency)
    except ValueError:
        return "no-amount"
    return None if amount == operation.amount else "wrong-amount"


def _contradicted(operation: Operation, why: str) -> Reading:
    """A conflict, unless it has succeeded before: from then on only the attestor may take it back, since what it
    has signed may be booked at any moment."""
    if operation.state not in _SUCCEEDED and may_step(
        operation.act, operation.state, OperationState.CONFLICTED
    ):
        return Reached(OperationState.CONFLICTED, why)
    return StayPut(attention=None if operation.state is OperationState.CONFLICTED else why)


def _or_nothing(operation: Operation, after: OperationState, reason: str | None) -> Reading:
    return Reached(after, reason) if may_step(operation.act, operation.state, after) else StayPut()


_SUCCEEDED: Final = frozenset(
    {OperationState.CONFIRMED, OperationState.BOOKED, OperationState.SETTLED, OperationState.CLEARED}
)


def read_nothing(operation: Operation, *, now: datetime, window: timedelta) -> Reading:
    """What it means that the provider knows nothing under our key.

    Nothing, until its window after the last send is over: it may still be on its way.
    """
    if operation.state is not OperationState.UNKNOWN or operation.sent_at is None:
        return StayPut(attention="object-vanished")
    if now < operation.sent_at + window:
        return StayPut()
    if operation.sends >= MAX_SENDS:
        return StayPut(attention="never-arrived")
    return SendAgain()


def payment_after(payment: CardPayment, operation: Operation) -> CardPayment:
    """Where a payment is, now that one of its operations has come to where it is."""
    state = _PAYMENT_STATES.get((operation.act, operation.state))
    if operation.act is Act.AUTHORIZE and operation.reason == Standing.REQUIRES_ACTION:
        state = PaymentState.REQUIRES_ACTION if operation.state is OperationState.PENDING else state
    if state is None:
        return payment
    reached = payment.at(state, reason=operation.reason)
    if operation.act is Act.AUTHORIZE and operation.psp_id is not None and reached.psp_id is None:
        reached = replace(reached, psp_id=operation.psp_id)
    return reached


_PAYMENT_STATES: Final[Mapping[tuple[Act, OperationState], PaymentState]] = MappingProxyType(
    {
        (Act.AUTHORIZE, _S.SENDING): PaymentState.AUTHORIZING,
        (Act.AUTHORIZE, _S.CONFIRMED): PaymentState.AUTHORIZED,
        (Act.AUTHORIZE, _S.FAILED): PaymentState.DECLINED,
        (Act.AUTHORIZE, _S.REFUSED): PaymentState.DECLINED,
        (Act.AUTHORIZE, _S.CONFLICTED): PaymentState.CONFLICTED,
        (Act.CAPTURE, _S.SENDING): PaymentState.CAPTURING,
        (Act.CAPTURE, _S.CONFIRMED): PaymentState.CAPTURED,
        (Act.CAPTURE, _S.SETTLED): PaymentState.SETTLED,
        (Act.CAPTURE, _S.FAILED): PaymentState.AUTHORIZED,
        (Act.VOID, _S.SENDING): PaymentState.VOIDING,
        (Act.VOID, _S.CONFIRMED): PaymentState.VOIDED,
        (Act.VOID, _S.FAILED): PaymentState.AUTHORIZED,
    }
)
