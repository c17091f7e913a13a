"""Every message there is, by type. The AsyncAPI document and the tests are made from this list."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts import betting, identity, ledger, payments
from contracts.wire import Command, Event, Message

COMMANDS: Final[tuple[type[Command], ...]] = (ledger.PostRequested,)

EVENTS: Final[tuple[type[Event], ...]] = (
    ledger.EntryCommitted,
    ledger.PostRefused,
    ledger.SealMade,
    ledger.DayClosed,
    ledger.MonthClosed,
    ledger.LedgerAccountClosed,
    ledger.HoldOpened,
    ledger.HoldCaptured,
    ledger.HoldReleased,
    ledger.HoldExpired,
    betting.EventPublished,
    betting.EventMoved,
    betting.RaceScheduled,
    betting.RaceMoved,
    betting.RunnerScratched,
    betting.RaceDeclared,
    betting.RaceConfirmed,
    betting.RaceDisputed,
    betting.RaceFinal,
    betting.RaceScratched,
    betting.MarketOpened,
    betting.MarketSuspended,
    betting.MarketResumed,
    betting.MarketRestarted,
    betting.MarketClosed,
    betting.MarketSettled,
    betting.MarketResettling,
    betting.MarketVoided,
    betting.BookChanged,
    betting.OfferPlaced,
    betting.OfferMatched,
    betting.OfferCancelled,
    betting.OfferLapsed,
    betting.OfferRejected,
    identity.UserRegistered,
    identity.StaffCreated,
    identity.ContactVerified,
    identity.DocumentAdded,
    identity.ProfileChanged,
    identity.PasswordChanged,
    identity.SecondFactorEnrolled,
    identity.AccountClosed,
    identity.StaffChanged,
    identity.ApprovalRequested,
    identity.ApprovalDecided,
    identity.KycChanged,
    identity.PlayPolicyChanged,
    identity.DeviceEnrolled,
    identity.DeviceRevoked,
    identity.SessionCreated,
    identity.SessionRevoked,
    payments.DepositClaimed,
    payments.DepositAttested,
    payments.DepositBooked,
    payments.DepositRejected,
    payments.WithdrawalRequested,
    payments.WithdrawalReserved,
    payments.WithdrawalSent,
    payments.WithdrawalLiquidated,
    payments.WithdrawalFailed,
    payments.CardRequested,
    payments.CardAuthorized,
    payments.CardDeclined,
    payments.CardVoided,
    payments.CardExpired,
    payments.CardDisputed,
    payments.CardConflicted,
    payments.CaptureBooked,
    payments.CaptureFailed,
    payments.CaptureSettled,
    payments.CaptureCleared,
    payments.RefundRequested,
    payments.RefundBooked,
    payments.RefundFailed,
)

MESSAGES: Final[Mapping[str, type[Message]]] = MappingProxyType(
    {message.type: message for message in (*COMMANDS, *EVENTS)}
)
"""Type to model. A type is listed once."""
