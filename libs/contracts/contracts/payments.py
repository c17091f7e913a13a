"""Payments' events: the life of a deposit, of a withdrawal and of a card payment. Bank details and what stands for a
card stay inside payments."""

from __future__ import annotations

from typing import ClassVar, Literal
from uuid import UUID

from contracts.receipts import Purpose, TrackingKey
from contracts.wire import Currency, Event, Moment, PositiveAmount, Text

CardAct = Literal["authorize", "capture", "void", "refund"]
"""What is asked of the card provider."""


class DepositClaimed(Event):
    """A bettor says that a transfer is on its way. It moves nothing: it only makes payments look."""

    type: ClassVar[str] = "payments.deposit.claimed.v1"

    deposit_id: UUID
    user_id: UUID
    tracking_key: TrackingKey
    amount: PositiveAmount
    currency: Currency
    claimed_at: Moment


class DepositAttested(Event):
    """The rail confirmed the money and the attestor signed a receipt for it."""

    type: ClassVar[str] = "payments.deposit.attested.v1"

    deposit_id: UUID
    user_id: UUID
    receipt_id: UUID
    purpose: Purpose
    amount: PositiveAmount
    currency: Currency
    attested_at: Moment


class DepositBooked(Event):
    """The ledger posted the deposit; the money can be bet."""

    type: ClassVar[str] = "payments.deposit.booked.v1"

    deposit_id: UUID
    user_id: UUID
    receipt_id: UUID
    entry_id: UUID
    amount: PositiveAmount
    currency: Currency


class DepositRejected(Event):
    """No such money arrived, or not as claimed. Nothing was booked."""

    type: ClassVar[str] = "payments.deposit.rejected.v1"

    deposit_id: UUID
    user_id: UUID
    reason: Text


class WithdrawalRequested(Event):
    """A bettor asked for money; nothing is reserved yet."""

    type: ClassVar[str] = "payments.withdrawal.requested.v1"

    withdrawal_id: UUID
    user_id: UUID
    amount: PositiveAmount
    currency: Currency
    requested_at: Moment


class WithdrawalReserved(Event):
    """The ledger moved the amount from available to withdrawing."""

    type: ClassVar[str] = "payments.withdrawal.reserved.v1"

    withdrawal_id: UUID
    user_id: UUID


class WithdrawalSent(Event):
    """The rail took the order under our own tracking key."""

    type: ClassVar[str] = "payments.withdrawal.sent.v1"

    withdrawal_id: UUID
    user_id: UUID
    tracking_key: TrackingKey


class WithdrawalLiquidated(Event):
    """The beneficiary's bank has the money; the books say so too."""

    type: ClassVar[str] = "payments.withdrawal.liquidated.v1"

    withdrawal_id: UUID
    user_id: UUID
    amount: PositiveAmount
    currency: Currency


class WithdrawalFailed(Event):
    """The withdrawal ended without paying out; what had been reserved goes back to the bettor."""

    type: ClassVar[str] = "payments.withdrawal.failed.v1"

    withdrawal_id: UUID
    user_id: UUID
    reason: Text


class CardPaymentEvent(Event):
    """What every event about a card payment tells. All of one payment's events have one `partitionkey`."""

    card_payment_id: UUID
    user_id: UUID


class CardRequested(CardPaymentEvent):
    """A bettor wants to pay by card; the provider has not been asked yet."""

    type: ClassVar[str] = "payments.card.requested.v1"

    amount: PositiveAmount
    currency: Currency
    requested_at: Moment


class CardAuthorized(CardPaymentEvent):
    """The provider sets the amount aside until `expires_at`; no money has moved. Told again when a capture or a void of
    it failed and it still stands."""

    type: ClassVar[str] = "payments.card.authorized.v1"

    amount: PositiveAmount
    currency: Currency
    expires_at: Moment


class CardDeclined(CardPaymentEvent):
    """There will be no money from this card payment."""

    type: ClassVar[str] = "payments.card.declined.v1"

    reason: Text


class CardVoided(CardPaymentEvent):
    """The authorization was given up. A capture that had gone ahead of that is told of all the same."""

    type: ClassVar[str] = "payments.card.voided.v1"


class CardExpired(CardPaymentEvent):
    """The authorization ran out. A capture that had gone ahead of that is told of all the same."""

    type: ClassVar[str] = "payments.card.expired.v1"


class CardDisputed(CardPaymentEvent):
    """The cardholder, or their bank, contests the payment; `step` is the provider's word for how far that is, and in the end
    `won` (by us) or `lost`."""

    type: ClassVar[str] = "payments.card.disputed.v1"

    dispute: Text
    step: Text
    amount: PositiveAmount
    currency: Currency


class CardConflicted(CardPaymentEvent):
    """The provider contradicts itself or us about one thing asked of it (`act`): nothing is booked, people look."""

    type: ClassVar[str] = "payments.card.conflicted.v1"

    operation_id: UUID
    act: CardAct
    reason: Text


class CaptureBooked(CardPaymentEvent):
    """The provider took the money, or a part of it, and the ledger has it as uncleared: not to be spent yet."""

    type: ClassVar[str] = "payments.capture.booked.v1"

    capture_id: UUID
    amount: PositiveAmount
    currency: Currency


class CaptureFailed(CardPaymentEvent):
    """The provider did not take the money."""

    type: ClassVar[str] = "payments.capture.failed.v1"

    capture_id: UUID
    amount: PositiveAmount
    currency: Currency
    reason: Text


class CaptureSettled(CardPaymentEvent):
    """The provider has paid the capture out to our bank account."""

    type: ClassVar[str] = "payments.capture.settled.v1"

    capture_id: UUID
    amount: PositiveAmount
    currency: Currency


class CaptureCleared(CardPaymentEvent):
    """The capture's money, less what was refunded of it before, can be bet and withdrawn. How much it is says the
    ledger's own entry."""

    type: ClassVar[str] = "payments.capture.cleared.v1"

    capture_id: UUID


class RefundRequested(CardPaymentEvent):
    """A part of what was captured is to go back to the card; nothing is taken from the bettor yet."""

    type: ClassVar[str] = "payments.refund.requested.v1"

    refund_id: UUID
    amount: PositiveAmount
    currency: Currency
    requested_at: Moment


class RefundBooked(CardPaymentEvent):
    """The provider gave it back to the card; the books say so too."""

    type: ClassVar[str] = "payments.refund.booked.v1"

    refund_id: UUID
    amount: PositiveAmount
    currency: Currency


class RefundFailed(CardPaymentEvent):
    """The money is not on its way to the card: the bettor has it. It may come after `booked`, since providers take
    a success back."""

    type: ClassVar[str] = "payments.refund.failed.v1"

    refund_id: UUID
    amount: PositiveAmount
    currency: Currency
    reason: Text
