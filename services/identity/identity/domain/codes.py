"""Codes that are sent to people, to show that a message reaches them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hmac import compare_digest
from typing import Final
from uuid import UUID

from common.errors import Invalid, TooMany

from identity.domain.people import UserId

MOST_ATTEMPTS: Final = 5


class Purpose(StrEnum):
    """What a code is good for."""

    EMAIL = "email"
    PASSWORD_RESET = "password-reset"  # noqa: S105 - a purpose
    STAFF_ACTIVATION = "staff-activation"


LIFETIMES: Final = {
    Purpose.EMAIL: timedelta(minutes=30),
    Purpose.PASSWORD_RESET: timedelta(minutes=15),
    Purpose.STAFF_ACTIVATION: timedelta(days=3),
}


class MessageKind(StrEnum):
    """What is told to people outside of the platform."""

    EMAIL_CODE = "email-code"
    RESET_CODE = "reset-code"
    ACTIVATION_CODE = "activation-code"
    EMAIL_CHANGED = "email-changed"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - a kind of message
    ACCOUNT_CLOSED = "account-closed"


CARRIES: Final = {
    Purpose.EMAIL: MessageKind.EMAIL_CODE,
    Purpose.PASSWORD_RESET: MessageKind.RESET_CODE,
    Purpose.STAFF_ACTIVATION: MessageKind.ACTIVATION_CODE,
}


class WrongCode(Invalid):
    """Wrong, too old, used, tried too often, or never asked for: one refusal, so that guessing tells nothing."""

    slug = "wrong-code"
    title = "The code is not right"

    def __init__(self) -> None:
        super().__init__("Ask for a new one if it does not help to type it again.", field="code")


class TooManyCodes(TooMany):
    slug = "too-many-codes"
    title = "Too many codes asked for"


@dataclass(frozen=True, slots=True)
class Verification:
    """A code that was sent. Its digits are derived from `id`. `addressee` is the name of the address it was asked for, `user` is
    None when nobody has that.
    """

    id: UUID
    addressee: str
    user: UserId | None
    purpose: Purpose
    created_at: datetime
    expires_at: datetime
    attempts: int = 0


def new_verification(
    purpose: Purpose, addressee: str, user: UserId | None, *, verification_id: UUID, now: datetime
) -> Verification:
    return Verification(verification_id, addressee, user, purpose, now, now + LIFETIMES[purpose])


def is_right(verification: Verification, told: str, digits: str, *, now: datetime) -> bool:
    """Whether what somebody typed is the code, in time and within the attempts."""
    is_live = now < verification.expires_at and verification.attempts < MOST_ATTEMPTS
    return compare_digest(told.encode(), digits.encode()) and is_live


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """A message to somebody. Of one with a code only the verification is kept, not the text."""

    id: UUID
    kind: MessageKind
    recipient: str | None
    verification: UUID | None
    created_at: datetime
    attempts: int = 0
