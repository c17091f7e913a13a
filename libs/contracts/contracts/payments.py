"""Payments' events: the life of a deposit and of a withdrawal. Bank details stay inside payments."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from contracts.receipts import Purpose, TrackingKey
from contracts.wire import Currency, Event, Moment, PositiveAmount, Text


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
